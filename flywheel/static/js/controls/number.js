import { define } from "../annotation-controls.js";
import { get } from "../dom.js";

/** @param {HTMLElement} element */
const field = (element) => get(element, "input", HTMLInputElement);

define("number", {
  /**
   * What is not a number is sent all the same, so that the server can say what is wrong with it.
   * @param {HTMLElement} element
   * @returns {{ number: number | string }[]}
   */
  read(element) {
    const { value, valueAsNumber, validity } = field(element);
    if (validity.badInput) return [{ number: "?" }];
    return value === "" ? [] : [{ number: valueAsNumber }];
  },
  write(element, bodies) {
    field(element).value = String(bodies[0]?.number ?? "");
  },
  touched: (element) => field(element).value !== field(element).defaultValue,
});
