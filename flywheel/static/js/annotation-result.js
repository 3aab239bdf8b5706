/* A form's controls as Label Studio's result list, and what is missing in it. */

import { controlsOf, definitionOf } from "./annotation-controls.js";
import { all, find } from "./dom.js";

/** @typedef {import("./annotation-controls.js").Body} Body */
/** @typedef {{ id: string, from_name: string, to_name: string, type: string, value: Body }} Item of a result list */

/** @param {HTMLElement} control */
const read = (control) => definitionOf(control).read(control);

/**
 * The result list of what is answered.
 * @param {HTMLElement} form
 */
export function collect(form) {
  /** @type {Item[]} */
  const result = [];
  for (const control of controlsOf(form)) {
    const { control: name = "", to = "", type = "" } = control.dataset;
    for (const value of read(control)) {
      result.push({ id: `${name}-${result.length}`, from_name: name, to_name: to, type, value });
    }
  }
  return result;
}

/**
 * Put a result list back into a form: a draft that the server had not received.
 * @param {HTMLElement} form
 * @param {Item[]} result
 */
export function restore(form, result) {
  for (const control of controlsOf(form)) {
    const own = result.filter((item) => item.from_name === control.dataset.control).map((item) => item.value);
    definitionOf(control).write(control, own);
  }
}

/**
 * Show the button that takes an answer away while there is an answer.
 * @param {HTMLElement} form
 */
export function clearsShow(form) {
  for (const button of all(form, "[data-clear]", HTMLElement)) button.hidden = !read(controlAround(button)).length;
}

/**
 * Take the answer away that a button belongs to.
 * @param {HTMLElement} button
 */
export function clear(button) {
  const control = controlAround(button);
  definitionOf(control).clear?.(control);
}

/**
 * @param {HTMLElement} element
 * @returns {HTMLElement}
 */
function controlAround(element) {
  const control = element.closest("[data-control]");
  if (control instanceof HTMLElement) return control;
  throw new Error("a [data-clear] button is outside of every control; its template must put it inside");
}

/**
 * The required controls without an answer.
 * @param {HTMLElement} form
 */
export function missing(form) {
  return controlsOf(form).filter((control) => "required" in control.dataset && !read(control).length);
}

/**
 * Whether something was answered before the scripts were there.
 * @param {HTMLElement} form
 */
export function touched(form) {
  return controlsOf(form).some((control) => definitionOf(control).touched(control));
}

/**
 * Show an error at a control and give it the focus.
 * @param {HTMLElement} control
 * @param {string} message
 */
export function showError(control, message) {
  const box = find(control, "[data-error]", HTMLElement);
  if (!box) return;
  box.textContent = message;
  const text = find(control, "textarea, input[type=number]", HTMLElement);
  text?.setAttribute("aria-invalid", "true");
  (text ?? find(control, "input:not([type=hidden]), button", HTMLElement))?.focus();
}

/** @param {HTMLElement} form */
export function clearErrors(form) {
  for (const box of all(form, "[data-error]", HTMLElement)) box.textContent = "";
  for (const field of all(form, "[aria-invalid]", HTMLElement)) field.removeAttribute("aria-invalid");
}
