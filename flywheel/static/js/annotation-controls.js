/* The controls that a page may show. Each module in controls/ defines one; annotation-result.js asks them.

   A definition has, for the element of one control:
   read(element): its result bodies, [] when it is not answered
   write(element, bodies): put bodies back, [] for none
   touched(element): whether something was answered before the scripts were there
   clear(element), optional: take the answer away; the control's [data-clear] button is shown while there is one
   focus(element), optional: where the caret goes when it has an error */
const definitions = new Map();

export function define(type, definition) {
  definitions.set(type, definition);
}

export function definitionOf(element) {
  const found = definitions.get(element.dataset.type);
  if (!found) throw new Error(`controls/${element.dataset.type}.js is missing`);
  return found;
}

/* For controls that are a list of radio buttons or check boxes. */
export const checked = {
  values: (element) => [...element.querySelectorAll("input:checked")].map((input) => input.value),
  write(element, values) {
    for (const input of element.querySelectorAll("input")) input.checked = values.includes(input.value);
  },
  touched: (element) => [...element.querySelectorAll("input")].some((input) => input.checked !== input.defaultChecked),
  clear(element) {
    checked.write(element, []);
    element.querySelector("input").focus();
  },
};
