/* Keys of the reviewer's page: a, f, r on the chosen answer, digits to choose one. The buttons do the same. */

import { controlsAttach } from "./annotation-controls.js";
import { answerPress, isTyping } from "./annotation-keys.js";
import { collect, restore, touched } from "./annotation-result.js";
import { all, around, find, get } from "./dom.js";
import { toast } from "./toast.js";

const answers = all(document, ".rv-answer", HTMLElement);
/** @type {HTMLElement | null} */
let chosen = null;

/**
 * @param {HTMLElement | undefined} answer
 * @param {{ scroll?: boolean }} [options]
 */
function choose(answer, { scroll = true } = {}) {
  if (!answer) return;
  for (const other of answers) delete other.dataset.chosen;
  answer.dataset.chosen = "";
  chosen = answer;
  if (scroll && answers.length > 1) answer.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** @param {string} selector within the chosen answer */
function inChosen(selector) {
  return chosen && find(chosen, selector, HTMLElement);
}

function fix() {
  const fold = chosen && find(chosen, "[data-fix-fold]", HTMLDetailsElement);
  if (!fold) return;
  fold.open = true;
  find(fold, "textarea, input:not([type=hidden])", HTMLElement)?.focus();
  fold.scrollIntoView({ block: "nearest" });
}

const guidelines = get(document, "#guidelines", HTMLElement);

/** @type {Record<string, () => void>} */
const KEYS = {
  a: () => inChosen("[data-accept]")?.click(),
  f: fix,
  r: () => inChosen("[data-comment]")?.focus(),
  n: () => find(document, "[data-later]", HTMLElement)?.click(),
  g: () => guidelines.togglePopover(),
  Escape: () => guidelines.hidePopover(),
  "?": () => get(document, "#keys", HTMLDialogElement).showModal(),
};

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const form = around(event, "form");
  const modified = event.ctrlKey || event.metaKey;
  if (event.key === "Enter" && modified && form instanceof HTMLFormElement) {
    event.preventDefault();
    // In the comment of a decision it means reject, which is what needs one.
    if (!event.repeat) form.requestSubmit(find(form, "[data-reject]", HTMLElement));
    return;
  }
  const fixing = form?.matches("[data-fix-form]") ? form : null;
  if (fixing && event.altKey && /^Digit[1-9]$/.test(event.code) && answerPress(fixing, event.code.slice(5))) {
    event.preventDefault();
  }
  if (modified || event.altKey) return;
  if (!isTyping(event.target)) keyPlain(event, fixing);
  else if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
});

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement | null} fixing the form of a fix that has the focus
 */
function keyPlain(event, fixing) {
  const { key } = event;
  // A reviewer at a fix chooses its answers; no key there throws the fix away.
  if (fixing && (answerPress(fixing, key) || "afrn".includes(key))) event.preventDefault();
  else if (KEYS[key]) {
    event.preventDefault();
    // A key that is held down must not decide about the tasks that come after.
    if (!event.repeat) KEYS[key]();
  } else if (/^[1-9]$/.test(key)) choose(answers[Number(key) - 1]);
}

document.addEventListener("click", (event) => {
  choose(around(event, ".rv-answer") ?? undefined);
  if (around(event, "[data-fix]")) fix();
});

/* -- what was written outlives the page: a session that ended, an error, or a button for something else ------------ */
const KEPT = "flywheel-review";

/** @typedef {{ answer: string, fix: boolean, comment: string, result: import("./annotation-result.js").Item[] }} Kept */

/** @param {HTMLFormElement} form */
const answerOf = (form) => get(form, "[name=annotation]", HTMLInputElement).value;

/** @param {HTMLFormElement} form */
const commentOf = (form) => get(form, "[name=comment]", HTMLTextAreaElement);

function keep() {
  const fixes = all(document, "[data-fix-form]", HTMLFormElement);
  const forms = [...fixes, ...all(document, "form.rv-decide", HTMLFormElement)];
  const form = forms.find((one) => touched(one) || commentOf(one).value);
  if (!form) return;
  /** @type {Kept} */
  const kept = {
    answer: answerOf(form),
    fix: fixes.includes(form),
    comment: commentOf(form).value,
    result: collect(form),
  };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // Storage is full or blocked: the page's form is the only copy.
  }
}

/** @returns {Kept | null} */
function keptTake() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    sessionStorage.removeItem(KEPT);
    return kept;
  } catch {
    // Storage is blocked, so nothing was kept.
    return null;
  }
}

function putBack() {
  const kept = keptTake();
  // A refused decision comes back with its words in it.
  if (!kept || document.querySelector(".wb > .notice-bad")) return;
  const forms = all(document, kept.fix ? "[data-fix-form]" : "form.rv-decide", HTMLFormElement);
  const form = forms.find((one) => answerOf(one) === kept.answer);
  if (!form) return;
  restore(form, kept.result);
  commentOf(form).value = kept.comment;
  const fold = form.closest("details");
  if (kept.fix && fold) fold.open = true;
  toast("What you wrote is here again; it was not sent.", "ok");
}

window.addEventListener("pagehide", keep);
putBack();

/* -- fixes --------------------------------------------------------------------------------------------------------- */

/** @param {HTMLElement} fold */
function foldAttach(fold) {
  // The text to mark is shared by the answers: it shows the marks of the one opened last.
  controlsAttach(fold, { root: document, changed() {} });
}

document.addEventListener(
  "toggle",
  (event) => {
    if (event.target instanceof HTMLElement && event.target.matches("[data-fix-fold][open]")) foldAttach(event.target);
  },
  { capture: true },
);
for (const fold of all(document, "[data-fix-fold][open]", HTMLElement)) foldAttach(fold);

/* A double click on a decision sends it once. */
document.addEventListener("submit", (event) => {
  if (!(event.target instanceof HTMLElement)) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});

choose(answers.find((answer) => answer.querySelector("[data-accept]")) ?? answers[0], { scroll: false });
