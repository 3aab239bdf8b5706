import { define } from "../annotation-controls.js";

const field = (element) => element.querySelector("textarea");

define("textarea", {
  read: (element) => (field(element).value.trim() ? [{ text: [field(element).value] }] : []),
  write(element, bodies) {
    field(element).value = bodies[0]?.text?.join("\n\n") ?? "";
  },
  touched: (element) => field(element).value !== field(element).defaultValue,
});
