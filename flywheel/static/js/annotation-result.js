/* A form's controls as Label Studio's result list, and what is missing in it. */
import { definitionOf } from "./annotation-controls.js";

const controlsOf = (form) => [...form.querySelectorAll("[data-control]")];

const read = (control) => definitionOf(control).read(control);

export function collect(form) {
  const result = [];
  for (const control of controlsOf(form))
    for (const body of read(control))
      result.push({
        id: `${control.dataset.control}-${result.length}`, from_name: control.dataset.control,
        to_name: control.dataset.to, type: control.dataset.type, value: body,
      });
  return result;
}

/* Put a result list back into a form: a draft that the server had not received. */
export function restore(form, result) {
  for (const control of controlsOf(form)) {
    const mine = result.filter((item) => item.from_name === control.dataset.control).map((item) => item.value);
    definitionOf(control).write(control, mine);
  }
}

/* Choices and ratings that need no answer have a button that takes it away; it is shown while there is an answer. */
export function clearsShow(form) {
  for (const button of form.querySelectorAll("[data-clear]"))
    button.hidden = !read(button.closest("[data-control]")).length;
}

export function clear(button) {
  const control = button.closest("[data-control]");
  definitionOf(control).clear(control);
}

export function missing(form) {
  return controlsOf(form).filter((control) => "required" in control.dataset && !read(control).length);
}

/* Whether something was answered before the scripts were there. */
export function touched(form) {
  return controlsOf(form).some((control) => definitionOf(control).touched(control));
}

export function showError(control, message) {
  const box = control.querySelector("[data-error]");
  if (!box) return;
  box.textContent = message;
  const text = control.querySelector("textarea, input[type=number]");
  text?.setAttribute("aria-invalid", "true");
  (text ?? control.querySelector("input:not([type=hidden]), button"))?.focus();
}

export function clearErrors(form) {
  for (const box of form.querySelectorAll("[data-error]")) box.textContent = "";
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}
