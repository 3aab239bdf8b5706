import { define } from "../annotation-controls.js";
import { get } from "../dom.js";

/** @param {HTMLElement} element */
const field = (element) => get(element, "textarea", HTMLTextAreaElement);

define("textarea", {
  read: (element) => (field(element).value.trim() ? [{ text: [field(element).value] }] : []),
  write(element, bodies) {
    field(element).value = bodies[0]?.text?.join("\n\n") ?? "";
  },
  touched: (element) => field(element).value !== field(element).defaultValue,
});
