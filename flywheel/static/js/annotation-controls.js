/* The controls that a page may show. Each module in controls/ defines one; annotation-result.js asks them. */

import { all, get } from "./dom.js";

/** @typedef {Record<string, unknown>} Body the `value` of one item of a result list */
/** @typedef {{ root: ParentNode, changed: () => void }} Page where the documents are, and what to call after a change */
/**
 * @template {Body} B
 * @typedef {object} Definition for the element of one control
 * @property {(element: HTMLElement) => B[]} read its result bodies, [] when it is not answered
 * @property {(element: HTMLElement, bodies: B[]) => void} write put bodies back, [] for none
 * @property {(element: HTMLElement) => boolean} touched whether something was answered before the scripts were there
 * @property {(element: HTMLElement) => void} [clear] take the answer away; the control's [data-clear] button is shown
 *   while there is one
 * @property {(elements: HTMLElement[], page: Page) => void} [attach] make a form's controls of this type work; may be
 *   called again for the same page
 */

/** @type {Map<string, Definition<any>>} each control has bodies of another shape */
const definitions = new Map();

/**
 * Add a control.
 * @template {Body} B
 * @param {string} type
 * @param {Definition<B>} definition
 */
export function define(type, definition) {
  definitions.set(type, definition);
}

/**
 * The definition for a control's element. Raises an error when its script was not loaded.
 * @param {HTMLElement} element
 */
export function definitionOf(element) {
  const found = definitions.get(element.dataset.type ?? "");
  if (!found) throw new Error(`controls/${element.dataset.type}.js is missing`);
  return found;
}

/**
 * The controls of a form.
 * @param {ParentNode} form
 */
export function controlsOf(form) {
  return all(form, "[data-control]", HTMLElement);
}

/**
 * Make a form's controls work.
 * @param {ParentNode} form
 * @param {Page} page
 */
export function controlsAttach(form, page) {
  for (const [type, elements] of Map.groupBy(controlsOf(form), (control) => control.dataset.type ?? "")) {
    definitions.get(type)?.attach?.(elements, page);
  }
}

/** What controls share that are a list of radio buttons or check boxes. */
export const checked = {
  /** @param {HTMLElement} element */
  values: (element) => all(element, "input:checked", HTMLInputElement).map((input) => input.value),
  /**
   * @param {HTMLElement} element
   * @param {string[]} values
   */
  write(element, values) {
    for (const input of all(element, "input", HTMLInputElement)) input.checked = values.includes(input.value);
  },
  /** @param {HTMLElement} element */
  touched: (element) => all(element, "input", HTMLInputElement).some((input) => input.checked !== input.defaultChecked),
  /** @param {HTMLElement} element */
  clear(element) {
    checked.write(element, []);
    get(element, "input", HTMLInputElement).focus();
  },
};
