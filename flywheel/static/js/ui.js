/* Behaviour shared by all pages, found by data attributes; every page works without it. docs/design.md lists them. */

import { all, around, find } from "./dom.js";
import { fragmentsInit } from "./fragments.js";
import { toast } from "./toast.js";

const root = document.documentElement;

/* -- theme: system, light, dark ------------------------------------------------------------------------------------ */
const THEMES = ["system", "light", "dark"];

function themeShow() {
  const theme = root.dataset.theme || "system";
  for (const label of all(document, "[data-theme-label]", HTMLElement)) {
    label.textContent = theme[0].toUpperCase() + theme.slice(1);
  }
}

function themeNext() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme || "system") + 1) % THEMES.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // Storage is blocked: the choice lasts for this page.
  }
  themeShow();
  root.dispatchEvent(new CustomEvent("theme-change", { detail: { theme: next } }));
}

/** @param {HTMLElement} button */
async function copy({ dataset }) {
  const target = dataset.copy ? find(document, dataset.copy, HTMLElement) : null;
  const typed = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement ? target.value : "";
  await navigator.clipboard.writeText(typed || (target?.textContent?.trim() ?? dataset.copyText ?? ""));
  toast("Copied.", "ok", 2);
}

/** @param {string} id */
function dialogOpen(id) {
  find(document, `dialog#${CSS.escape(id)}`, HTMLDialogElement)?.showModal();
}

/* -- clicks -------------------------------------------------------------------------------------------------------- */
document.addEventListener("click", (event) => {
  const button = around(
    event,
    "[data-theme-toggle], [data-dialog-open], [data-dialog-close], [data-copy], [data-dismiss]",
  );
  if (!button) return;
  if ("themeToggle" in button.dataset) themeNext();
  else if (button.dataset.dialogOpen) dialogOpen(button.dataset.dialogOpen);
  else if ("dialogClose" in button.dataset) button.closest("dialog")?.close();
  else if ("dismiss" in button.dataset) button.closest(".notice")?.remove();
  else copy(button).catch(() => toast("The browser did not allow copying; select the text instead.", "bad"));
});

/* -- forms: filters that submit themselves, destructive acts confirmed by typing ----------------------------------- */
document.addEventListener("change", (event) => {
  const form = around(event, "form[data-autosubmit]");
  if (form instanceof HTMLFormElement) form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  // Empty filters stay out of the address; they come back at once, for the browser's Back.
  if (!(event.target instanceof HTMLFormElement) || !event.target.matches("form.filters[method='get']")) return;
  const empty = [...event.target.elements].filter(
    (input) =>
      (input instanceof HTMLInputElement || input instanceof HTMLSelectElement) &&
      input.name &&
      !input.value &&
      !input.disabled,
  );
  for (const input of empty) input.toggleAttribute("disabled", true);
  setTimeout(() => {
    for (const input of empty) input.toggleAttribute("disabled", false);
  });
});

/** @param {HTMLInputElement} input */
function confirmTyping(input) {
  const button = input.form && find(input.form, "[data-confirm-button]", HTMLButtonElement);
  if (button) button.disabled = input.value.trim() !== input.dataset.confirmText;
}

document.addEventListener("input", (event) => {
  if (event.target instanceof HTMLInputElement && event.target.dataset.confirmText) confirmTyping(event.target);
});

for (const input of all(document, "[data-confirm-text]", HTMLInputElement)) confirmTyping(input);
themeShow();
fragmentsInit();
// A form that was refused begins at its first error, which may be far down.
find(document, "main form [aria-invalid='true']", HTMLElement)?.focus();
