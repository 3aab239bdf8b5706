/* Keys of the reviewer's page: a, f, r on the chosen answer, digits to choose one. The buttons do the same. */

import { collect, restore, touched } from "./annotation-result.js";
import { spansInit } from "./annotation-spans.js";
import { toast } from "./toast.js";

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

/* What was written outlives the page: a session that ended, an error, or a button for something else takes one away. */
const KEPT = "flywheel-review";

function keep() {
  const forms = [...document.querySelectorAll("[data-fix-form]"), ...document.querySelectorAll("form.rv-decide")];
  const form = forms.find((one) => touched(one) || one.elements.comment.value);
  if (!form) return;
  const { annotation, comment } = form.elements;
  const fix = form.matches("[data-fix-form]");
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ answer: annotation.value, fix, comment: comment.value, result: collect(form) }));
  } catch {
    // Storage is full or blocked: the page's form is the only copy.
  }
}

function putBack() {
  let kept = null;
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT));
    sessionStorage.removeItem(KEPT);
  } catch {
    // As above.
  }
  // A refused decision comes back with its words in it.
  if (!kept || document.querySelector(".wb > .notice-bad")) return;
  const forms = document.querySelectorAll(kept.fix ? "[data-fix-form]" : "form.rv-decide");
  const form = [...forms].find((one) => one.elements.annotation.value === kept.answer);
  if (!form) return;
  restore(form, kept.result);
  form.elements.comment.value = kept.comment;
  if (kept.fix) form.closest("[data-fix-fold]").open = true;
  toast("What you wrote is here again; it was not sent.", "ok");
}

window.addEventListener("pagehide", keep);
putBack();

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
