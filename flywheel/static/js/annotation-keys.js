/* The workbench's keys. What they do is workbench.js's; `shown()` gives the task in view or null. */

const typing = (target) => target.matches?.("textarea, select, input:not([type=radio], [type=checkbox], [type=hidden])");

const idle = (target) => !target.closest?.("a, button, summary, input, select, textarea");

/* A key that is held down acts once: it must not answer the tasks that come after. */
function act(event, action) {
  event.preventDefault();
  if (!event.repeat) action();
}

/* A digit, or a hotkey of the label configuration, chooses an answer or puts a label. */
function press(shown, key, changed) {
  const task = shown();
  if (!task || task.busy) return false;
  const target = task.form.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!target) return false;
  target.click();
  if (target.matches("input")) changed();
  return true;
}

/* alt: by event.code, plain: by event.key when not typing. */
export function keysInit({ shown, submit, undo, accept, changed, alt, plain }) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) act(event, submit);
    else if (event.altKey && !event.ctrlKey) withAlt(event);
    else if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
    } else if (event.ctrlKey || event.metaKey) {
      if (event.key === "z") act(event, undo);
    } else if (plain[event.key]) act(event, plain[event.key]);
    else if (event.key === "Enter" && idle(event.target)) act(event, accept);
    else if (event.key.length === 1 && !event.repeat && press(shown, event.key, changed)) event.preventDefault();
  });

  /* A browser scrolls a text field until its caret is seen, which leaves the rest of it below the edge. */
  document.addEventListener("keyup", (event) => {
    if (event.key !== "Tab") return;
    const focused = document.activeElement.closest("form.wb-task label, form.wb-task textarea, form.wb-task li, form.wb-task .wb-text");
    focused?.scrollIntoView({ block: "nearest" });
  });

  function withAlt(event) {
    // An answer can be taken back without a task in view, too.
    if (alt[event.code] && (shown() || alt[event.code] === undo)) act(event, alt[event.code]);
    else if (/^Digit[1-9]$/.test(event.code) && !event.repeat && press(shown, event.code.slice(5), changed)) event.preventDefault();
  }
}
