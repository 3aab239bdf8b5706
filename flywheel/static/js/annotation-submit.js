/* Sends the answer: once, again when no answer of the server comes, and never without what is required. */

import { controlsOf } from "./annotation-controls.js";
import { kept } from "./annotation-kept.js";
import { clearErrors, missing, showError } from "./annotation-result.js";
import { leaseLost } from "./logic/leases.js";
import { post, refusalOf, retrying } from "./net.js";
import { toast } from "./toast.js";

/** @typedef {import("./annotation-task.js").Task} Task */
/** @typedef {import("./net.js").Refusal} Refusal */

/**
 * Returns the function that submits the task in view.
 * @param {object} page
 * @param {() => Task | null} page.shown
 * @param {() => void} page.hold cancels the save of a draft that waits
 * @param {(task: Task) => Promise<void>} page.answered called once the server has the answer
 * @param {(task: Task) => Promise<void>} page.lost called when the annotator has lost the task
 */
export function submitInit({ shown, hold, answered, lost }) {
  async function submit() {
    const task = shown();
    if (!task || task.busy) return;
    clearErrors(task.form);
    const [empty] = missing(task.form);
    if (empty) {
      showError(empty, "Needed before you can submit.");
      return;
    }
    hold();
    const focused = document.activeElement;
    task.setBusy(true);
    task.say("Submitting…");
    try {
      await answerSend(task);
    } catch (error) {
      task.setBusy(false);
      if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
      await failed(task, refusalOf(error));
      return;
    }
    await answered(task);
  }

  /**
   * @param {Task} task
   * @param {Refusal} refusal
   */
  async function failed(task, refusal) {
    const control = controlsOf(task.form).find(({ dataset }) => refusal.field && dataset.control === refusal.field);
    if (control) showError(control, refusal.message);
    // Newer than every draft sent, so that a reload puts it back.
    kept.put(task.id, { version: task.draft.version + 1, result: task.result });
    if (refusal.passing) task.say("Not submitted: the server is away. Your answer is kept; submit again.", "bad");
    else if (refusal.field && !control) {
      // What is wrong is not on this page: the project's labels were changed while it was open.
      task.say(
        `${refusal.message}. Reload the page to see the project's labels as they are now; what you wrote is kept.`,
        "bad",
      );
    } else task.say(refusal.message, "bad");
    if (!leaseLost(refusal.code)) return;
    toast(refusal.message, "bad", 12);
    await lost(task);
  }

  return submit;
}

/**
 * Send the answer. The page's submission_id makes a repeated submit the same answer, so a retry is always safe.
 * @param {Task} task
 */
async function answerSend(task) {
  const body = {
    result: task.result,
    submission_id: task.submissionId,
    lead_time_seconds: task.seconds,
    suggestion_id: Number(task.suggestionId.value) || null,
  };
  await retrying(
    () => post(`/api/v1/assignments/${task.id}/submit/`, body),
    (refusal) => task.say(`Not saved yet: ${refusal.message} Trying again…`, "bad"),
  );
}
