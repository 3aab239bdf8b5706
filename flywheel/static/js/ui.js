/* Behaviour shared by all pages, found by data attributes; every page works without it. docs/design.md lists them. */

import { toast } from "./toast.js";

const root = document.documentElement;

/* -- theme: system, light, dark ---------------------------------------------------------------------------------- */
const THEMES = ["system", "light", "dark"];

function themeShow() {
  const theme = root.dataset.theme || "system";
  for (const label of document.querySelectorAll("[data-theme-label]")) label.textContent = theme[0].toUpperCase() + theme.slice(1);
}

function themeNext() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme || "system") + 1) % THEMES.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // Storage is blocked: the choice lasts for this page.
  }
  themeShow();
  root.dispatchEvent(new CustomEvent("theme-change", { detail: { theme: next } }));
}

async function copy(button) {
  const target = document.querySelector(button.dataset.copy);
  const text = target ? target.value || target.textContent.trim() : button.dataset.copyText;
  await navigator.clipboard.writeText(text);
  toast("Copied.", "ok", 2);
}

/* -- clicks -------------------------------------------------------------------------------------------------------- */
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-toggle], [data-dialog-open], [data-dialog-close], [data-copy], [data-dismiss]");
  if (!button) return;
  if ("themeToggle" in button.dataset) themeNext();
  else if (button.dataset.dialogOpen) document.getElementById(button.dataset.dialogOpen)?.showModal();
  else if ("dialogClose" in button.dataset) button.closest("dialog")?.close();
  else if ("dismiss" in button.dataset) button.closest(".notice")?.remove();
  else copy(button).catch(() => toast("The browser did not allow copying; select the text instead.", "bad"));
});

/* -- forms: filters that submit themselves, destructive acts confirmed by typing ----------------------------------- */
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-autosubmit]");
  if (form) form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  // Empty filters stay out of the address; they come back at once, for the browser's Back.
  if (!event.target.matches("form.filters[method='get']")) return;
  const empty = [...event.target.elements].filter((input) => input.name && !input.value && !input.disabled);
  for (const input of empty) input.disabled = true;
  setTimeout(() => empty.forEach((input) => (input.disabled = false)));
});

function confirmTyping(input) {
  const button = input.form?.querySelector("[data-confirm-button]");
  if (button) button.disabled = input.value.trim() !== input.dataset.confirmText;
}

document.addEventListener("input", (event) => {
  if (event.target.dataset.confirmText) confirmTyping(event.target);
});

function prepare(scope) {
  for (const input of scope.querySelectorAll("[data-confirm-text]")) confirmTyping(input);
}

/* -- HTMX: errors become a toast; the server may send one with `HX-Trigger: {"notice": {"message", "tone"}}` -------- */
function errorText(xhr) {
  try {
    return JSON.parse(xhr.responseText).error.message;
  } catch {
    const page = new DOMParser().parseFromString(xhr.responseText || "", "text/html");
    return page.querySelector("[data-error-message]")?.textContent.trim() || `The server answered ${xhr.status}.`;
  }
}

document.addEventListener("notice", (event) => toast(event.detail.message || event.detail.value, event.detail.tone));
document.addEventListener("htmx:responseError", (event) => toast(errorText(event.detail.xhr), "bad", 10));
document.addEventListener("htmx:sendError", () => toast("The server did not answer. Nothing was lost; try again.", "bad", 10));
document.addEventListener("htmx:beforeSwap", (event) => {
  // The session has ended: a sign-in form inside a fragment is useless, so the whole page goes there and back.
  const address = event.detail.xhr.responseURL;
  if (!address || !new URL(address).pathname.startsWith("/accounts/login/")) return;
  event.detail.shouldSwap = false;
  location.assign(`/accounts/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
});
document.addEventListener("htmx:afterSwap", (event) => prepare(event.target));

themeShow();
prepare(document);
// A form that was refused begins at its first error, which may be far down.
document.querySelector("main form [aria-invalid='true']")?.focus();
