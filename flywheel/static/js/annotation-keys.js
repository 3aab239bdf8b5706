/* The keys of the workbench, and what it shares with the reviewer's page. */

import { find } from "./dom.js";

/** @typedef {import("./annotation-task.js").Task} Task */
/** @typedef {Record<string, () => void>} Actions */

/**
 * Whether keys at this element are text.
 * @param {EventTarget | null} target
 */
export function isTyping(target) {
  const text = "textarea, select, input:not([type=radio], [type=checkbox], [type=hidden])";
  return target instanceof Element && target.matches(text);
}

/**
 * Whether Enter does nothing at this element by itself.
 * @param {EventTarget | null} target
 */
function isIdle(target) {
  return !(target instanceof Element && target.closest("a, button, summary, input, select, textarea"));
}

/**
 * Press the answer or label that has this key: a digit, or a hotkey of the label configuration. Returns it, or null.
 * @param {HTMLElement} form
 * @param {string} key
 */
export function answerPress(form, key) {
  const target = find(form, `[data-key="${CSS.escape(key)}"]`, HTMLElement);
  target?.click();
  return target;
}

/**
 * @param {object} page
 * @param {() => Task | null} page.shown
 * @param {() => void} page.submit
 * @param {() => void} page.undo
 * @param {() => void} page.accept
 * @param {(task: Task) => void} page.changed
 * @param {Actions} page.alt by event.code, with Alt
 * @param {Actions} page.plain by event.key, when not typing
 */
export function keysInit({ shown, submit, undo, accept, changed, alt, plain }) {
  document.addEventListener("keydown", (event) => {
    const modified = event.ctrlKey || event.metaKey;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && modified) act(event, submit);
    else if (event.altKey && !event.ctrlKey) withAlt(event);
    else if (isTyping(event.target)) {
      if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
    } else if (modified) {
      if (event.key === "z") act(event, undo);
    } else if (plain[event.key]) act(event, plain[event.key]);
    else if (event.key === "Enter" && isIdle(event.target)) act(event, accept);
    else if (event.key.length === 1) press(event, event.key);
  });

  // A browser scrolls a text field until its caret is seen, which leaves the rest of it below the edge.
  document.addEventListener("keyup", (event) => {
    if (event.key !== "Tab") return;
    const parts = ["label", "textarea", "li", ".wb-text"].map((part) => `form.wb-task ${part}`);
    document.activeElement?.closest(parts.join())?.scrollIntoView({ block: "nearest" });
  });

  /** @param {KeyboardEvent} event */
  function withAlt(event) {
    const action = alt[event.code];
    // An answer can be taken back without a task in view, too.
    if (action && (shown() || action === undo)) act(event, action);
    else if (/^Digit[1-9]$/.test(event.code)) press(event, event.code.slice(5));
  }

  /**
   * A key that is held down acts once, because it must not answer the tasks that come after.
   * @param {KeyboardEvent} event
   * @param {() => void} action
   */
  function act(event, action) {
    event.preventDefault();
    if (!event.repeat) action();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {string} key
   */
  function press(event, key) {
    const task = shown();
    if (!task || task.busy || event.repeat) return;
    const target = answerPress(task.form, key);
    if (!target) return;
    event.preventDefault();
    if (target instanceof HTMLInputElement) changed(task);
  }
}
