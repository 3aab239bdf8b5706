/* The task in view: its form and what the page knows of it. */

import { collect } from "./annotation-result.js";
import { all, find, get } from "./dom.js";
import { Draft } from "./logic/drafts.js";

export class Task {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    const { assignment = "", task = "", version, expires = "", leased = "", saved = "" } = form.dataset;
    this.form = form;
    this.id = assignment;
    this.taskId = task;
    this.leased = leased;
    this.savedAt = saved;
    this.expires = Date.parse(expires);
    this.draft = new Draft(Number(version));
    this.shownAt = performance.now();
    /** Milliseconds for which the page was hidden. */
    this.away = 0;
    /** Whether the answer is on its way. */
    this.busy = false;
  }

  get result() {
    return collect(this.form);
  }

  /** Seconds that the annotator has had the task in view. */
  get seconds() {
    return Math.round((performance.now() - this.shownAt - this.away) / 100) / 10;
  }

  get controls() {
    return get(this.form, ".wb-controls", HTMLElement);
  }

  get submitButton() {
    return get(this.form, "[data-submit]", HTMLButtonElement);
  }

  get submissionId() {
    return get(this.form, "[name=submission_id]", HTMLInputElement).value;
  }

  get suggestionId() {
    return get(this.form, "[name=suggestion_id]", HTMLInputElement);
  }

  /** The text that a suggestion is for. */
  get reply() {
    return find(this.form, ".control-reply textarea, .control-text textarea", HTMLTextAreaElement);
  }

  get suggestion() {
    return find(this.form, "template[data-suggestion]", HTMLTemplateElement);
  }

  /**
   * Say how the draft or answer is doing; a tone of "bad" is read out too.
   * @param {string} text
   * @param {"" | "bad"} [tone]
   */
  say(text, tone = "") {
    const state = get(this.form, "[data-state]", HTMLElement);
    state.textContent = text;
    state.className = tone;
    // What goes well every few seconds is not read out.
    get(document, "[data-said]", HTMLElement).textContent = tone ? text : "";
  }

  /**
   * Mark the answer as on its way, or no longer.
   * @param {boolean} on
   */
  setBusy(on) {
    this.busy = on;
    for (const button of all(this.form, "[data-submit], [data-undo]", HTMLButtonElement)) button.disabled = on;
    // What is typed while the answer is on its way would not be in it.
    this.controls.inert = on;
    this.form.setAttribute("aria-busy", String(on));
  }
}
