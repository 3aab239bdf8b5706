/* Keys of the reviewer's page: a, f, r on the chosen answer, digits to choose one. The buttons do the same. */

import { spansInit } from "./annotation-spans.js";

const answers = [...document.querySelectorAll(".rv-answer")];
let chosen = null;

function choose(answer, { scroll = true } = {}) {
  if (!answer) return;
  for (const other of answers) delete other.dataset.chosen;
  answer.dataset.chosen = "";
  chosen = answer;
  if (scroll && answers.length > 1) answer.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function fix(answer) {
  const fold = answer?.querySelector("[data-fix-fold]");
  if (!fold) return;
  fold.open = true;
  const field = fold.querySelector("textarea, input:not([type=hidden])");
  field?.focus();
  fold.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  a: () => chosen?.querySelector("[data-accept]")?.click(),
  f: () => fix(chosen),
  r: () => chosen?.querySelector("[data-comment]")?.focus(),
  n: () => document.querySelector("[data-later]")?.click(),
  g: () => document.getElementById("guidelines").togglePopover(),
  Escape: () => document.getElementById("guidelines").hidePopover(),
  "?": () => document.getElementById("keys").showModal(),
};

/* A digit, or a hotkey of the label configuration, chooses an answer of the fix or puts a label. */
function press(fixing, key) {
  const target = fixing.querySelector(`[data-key="${CSS.escape(key)}"]`);
  target?.click();
  return Boolean(target);
}

const typing = (target) => target.matches?.("textarea, select, input:not([type=radio], [type=checkbox], [type=hidden])");

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const form = event.target.closest?.("form");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form) {
    event.preventDefault();
    if (event.repeat) return;
    // In the comment of a decision it means reject, which is what needs one.
    form.requestSubmit(form.querySelector("[data-reject]") ?? undefined);
    return;
  }
  const fixing = form?.matches("[data-fix-form]") ? form : null;
  if (fixing && event.altKey && /^Digit[1-9]$/.test(event.code) && press(fixing, event.code.slice(5))) event.preventDefault();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = event.key;
  // Who is at a fix chooses its answers; no key there throws the fix away.
  if (fixing && (press(fixing, key) || "afrn".includes(key))) event.preventDefault();
  else if (KEYS[key]) {
    event.preventDefault();
    // A key that is held down must not decide about the tasks that come after.
    if (!event.repeat) KEYS[key]();
  } else if (/^[1-9]$/.test(key)) choose(answers[Number(key) - 1]);
});

document.addEventListener("click", (event) => {
  const answer = event.target.closest(".rv-answer");
  if (answer) choose(answer);
  if (event.target.closest("[data-fix]")) fix(answer);
});

/* However it was opened. The text to mark is shared by the answers: it shows the marks of the one opened last. */
document.addEventListener("toggle", (event) => {
  if (event.target.matches("[data-fix-fold][open]")) spansInit(event.target, () => {}, document);
}, { capture: true });
for (const fold of document.querySelectorAll("[data-fix-fold][open]")) spansInit(fold, () => {}, document);

/* A double click on a decision sends it once. */
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
});

choose(answers.find((answer) => answer.querySelector("[data-accept]")) ?? answers[0], { scroll: false });
