/* Short messages at the corner of the page. Without effect on loading, so that any module may import it: in
   production ui.js has a hashed name, and importing that from two places would run it twice. */

/**
 * Show a message for some seconds.
 * @param {string} message
 * @param {"info" | "ok" | "warn" | "bad"} [tone]
 * @param {number} [seconds]
 */
export function toast(message, tone = "info", seconds = 6) {
  const area = document.getElementById("toasts");
  if (!area || !message) return;
  const box = document.createElement("div");
  box.className = tone === "info" ? "notice" : `notice notice-${tone}`;
  box.setAttribute("role", tone === "bad" ? "alert" : "status");
  const text = document.createElement("p");
  text.textContent = message;
  box.append(text);
  area.append(box);
  setTimeout(() => box.remove(), seconds * 1000);
}
