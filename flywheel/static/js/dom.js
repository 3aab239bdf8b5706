/* Elements of the page by selector and class. A page without an element that a script needs is a fault of its template. */

/** @template {Element} T @typedef {new () => T} Class */

/**
 * The first element that matches and is of the class, or null.
 * @template {Element} T
 * @param {ParentNode} scope
 * @param {string} selector
 * @param {Class<T>} type
 * @returns {T | null}
 */
export function find(scope, selector, type) {
  const found = scope.querySelector(selector);
  return found instanceof type ? found : null;
}

/**
 * The first element that matches. Raises an error that names the selector when there is none of the class.
 * @template {Element} T
 * @param {ParentNode} scope
 * @param {string} selector
 * @param {Class<T>} type
 * @returns {T}
 */
export function get(scope, selector, type) {
  const found = find(scope, selector, type);
  if (!found) throw new Error(`the page has no ${type.name} '${selector}'; its template must have one`);
  return found;
}

/**
 * All elements that match and are of the class.
 * @template {Element} T
 * @param {ParentNode} scope
 * @param {string} selector
 * @param {Class<T>} type
 * @returns {T[]}
 */
export function all(scope, selector, type) {
  return [...scope.querySelectorAll(selector)].flatMap((element) => (element instanceof type ? [element] : []));
}

/**
 * The element at which an event happened, or the nearest one around it, that matches; null when there is none.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function around(event, selector) {
  const found = event.target instanceof Element ? event.target.closest(selector) : null;
  return found instanceof HTMLElement ? found : null;
}
