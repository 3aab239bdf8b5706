/* The suggestion of a task: taken over by a key, compared with the reply while the annotator types. */

import { missing } from "./annotation-result.js";
import { find, get } from "./dom.js";
import { wordDiff } from "./logic/diff.js";
import { toast } from "./toast.js";

/** @typedef {import("./annotation-task.js").Task} Task */

/** @param {Task} task */
const textOf = (task) => task.suggestion?.content.textContent ?? "";

/**
 * Show how the reply differs from the suggestion.
 * @param {Task} task
 */
export function suggestionCompare(task) {
  const box = find(task.form, "[data-diff]", HTMLElement);
  if (!box || !task.reply) return;
  const before = textOf(task).trim();
  const after = task.reply.value.trim();
  const same = before === after;
  const changes = same ? [] : wordDiff(before, after);
  const title = same
    ? "Same as the suggestion"
    : changes
      ? "Changes against the suggestion"
      : "Changed (too long to compare while typing)";
  get(box, "[data-diff-title]", HTMLElement).textContent = title;
  const text = get(box, "[data-diff-text]", HTMLElement);
  text.hidden = same || !changes;
  text.replaceChildren(
    ...(changes ?? []).map(({ kind, text: words }) => {
      if (kind === "same") return document.createTextNode(words);
      const element = document.createElement(kind);
      element.textContent = words;
      return element;
    }),
  );
}

/**
 * Make the task's suggestion the reply.
 * @param {Task} task
 * @param {() => void} changed
 */
export function suggestionAccept(task, changed) {
  suggestionUse(task, textOf(task), changed);
}

/**
 * Make another suggestion the reply. It takes the first one's place: the answer is measured against it from then on.
 * @param {Task} task
 * @param {HTMLElement} button
 * @param {() => void} changed
 */
export function suggestionExchange(task, button, changed) {
  const { useOther: id = "", origin = "", otherScore = "" } = button.dataset;
  const text = get(task.form, `template[data-other-text="${id}"]`, HTMLTemplateElement).content.textContent ?? "";
  task.suggestionId.value = id;
  if (task.suggestion) task.suggestion.content.textContent = text;
  get(task.form, ".control-origin strong", HTMLElement).textContent = origin;
  get(task.form, "[data-score]", HTMLElement).textContent = otherScore;
  suggestionUse(task, text, changed);
}

/**
 * The text becomes the reply; what is still to be answered gets the focus, else Submit.
 * @param {Task} task
 * @param {string} text
 * @param {() => void} changed
 */
function suggestionUse(task, text, changed) {
  const field = task.reply;
  if (!field || task.busy) return;
  if (!text) {
    toast("This task has no suggestion.");
    return;
  }
  if (field.value !== text) textReplace(field, text, changed);
  const [open] = missing(task.form);
  const next = open && find(open, "input:not([type=hidden]), textarea, button", HTMLElement);
  (next ?? task.submitButton).focus();
}

/**
 * Replace a field's text as typing does, so that Ctrl+Z in the field brings the earlier text back.
 * @param {HTMLTextAreaElement} field
 * @param {string} text
 * @param {() => void} changed
 */
function textReplace(field, text, changed) {
  field.focus();
  field.select();
  if (document.execCommand("insertText", false, text) && field.value === text) return;
  field.value = text;
  changed();
}
