/* Lists: selection of rows, moving between rows by key, and menus that close. The list works without any of it. */

const list = /** @type {HTMLElement | null} */ (document.querySelector("[data-list]"));

/** @returns {HTMLInputElement[]} */
function picks() {
  return [...document.querySelectorAll("[data-pick]")].map((box) => /** @type {HTMLInputElement} */ (box));
}

/* -- selection ----------------------------------------------------------------------------------------------------- */
/** @type {HTMLInputElement | null} */
let last = null;

function selectionShow() {
  const chosen = picks().filter((box) => box.checked).length;
  const bar = document.getElementById("list-acts");
  const words = bar?.querySelector("[data-selected]");
  if (!bar || !words) return;
  bar.hidden = chosen === 0;
  words.textContent = chosen === 1 ? "1 row selected" : `${chosen} rows selected`;
  const all = /** @type {HTMLInputElement | null} */ (document.querySelector("[data-pick-all]"));
  if (!all) return;
  all.checked = chosen > 0 && chosen === picks().length;
  all.indeterminate = chosen > 0 && !all.checked;
}

/**
 * A click with Shift selects everything between this row and the one clicked before.
 * @param {HTMLInputElement} box
 */
function rangePick(box) {
  const boxes = picks();
  const [from, to] = [boxes.indexOf(last ?? box), boxes.indexOf(box)].sort((a, b) => a - b);
  for (const between of boxes.slice(from, to + 1)) between.checked = box.checked;
}

list?.addEventListener("click", (event) => {
  const box = event.target;
  if (!(box instanceof HTMLInputElement)) return;
  if ("pickAll" in box.dataset) for (const one of picks()) one.checked = box.checked;
  else if (!("pick" in box.dataset)) return;
  else {
    if (event.shiftKey) rangePick(box);
    last = box;
  }
  selectionShow();
});

/* -- keys: / searches, j and k move, x selects --------------------------------------------------------------------- */
/** @param {number} by */
function rowMove(by) {
  const links = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-list] .row-link")]);
  const at = links.findIndex((link) => link.closest("tr") === document.activeElement?.closest("tr"));
  links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") menusClose(null);
  if (target instanceof HTMLElement && target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (event.key === "/") document.getElementById("list-q")?.focus();
  else if (event.key === "j") rowMove(1);
  else if (event.key === "k") rowMove(-1);
  else if (event.key === "x") {
    const row = document.activeElement?.closest("tr");
    /** @type {HTMLInputElement | null} */ (row?.querySelector("[data-pick]") ?? null)?.click();
  } else return;
  event.preventDefault();
});

/* -- menus --------------------------------------------------------------------------------------------------------- */
/** @param {Node | null} except the menu that stays open */
function menusClose(except) {
  for (const menu of document.querySelectorAll("details.drop[open]")) {
    if (except && menu.contains(except)) continue;
    if (menu.contains(document.activeElement)) menu.querySelector("summary")?.focus();
    menu.removeAttribute("open");
  }
}

document.addEventListener("click", (event) => menusClose(/** @type {Node} */ (event.target)));

// The browser keeps the boxes checked when one comes back by its Back button.
selectionShow();
