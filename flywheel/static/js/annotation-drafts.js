/* Saves the draft as the annotator types: in this browser at once, on the server a moment later. */

import { kept } from "./annotation-kept.js";
import { post, refusalOf } from "./net.js";

/** @typedef {import("./annotation-task.js").Task} Task */
/** @typedef {import("./logic/drafts.js").Reply & { saved_at: string, expires_at: string }} Reply */

const PAUSE = 700;

/**
 * A time of the server as a clock in UTC.
 * @param {string} time
 */
export function clock(time) {
  return `${new Date(time).toLocaleTimeString("en-GB", { timeZone: "UTC" })} UTC`;
}

/**
 * Returns `changed`, to call after each change of the task in view; `save`, which sends what has changed; and `hold`,
 * which cancels the save that waits for a pause in typing.
 * @param {{ shown: () => Task | null, leaseShow: () => void }} page
 */
export function draftsInit({ shown, leaseShow }) {
  let timer = 0;

  function hold() {
    clearTimeout(timer);
  }

  /** @param {number} delay */
  function saveIn(delay) {
    hold();
    timer = setTimeout(save, delay);
  }

  /** @param {Task} task */
  function changed(task) {
    task.draft.change();
    kept.put(task.id, { version: task.draft.version, result: task.result });
    task.say("Typing…");
    saveIn(PAUSE);
  }

  async function save({ keepalive = false } = {}) {
    hold();
    const task = shown();
    const version = task?.busy ? null : task?.draft.take();
    if (!task || !version) return;
    try {
      /** @type {Reply} */
      const reply = await post(`/api/v1/assignments/${task.id}/draft/`, { draft: task.result, version }, { keepalive });
      answered(task, version, reply);
    } catch (error) {
      failed(task, version, refusalOf(error));
    }
  }

  /**
   * @param {Task} task
   * @param {number} version
   * @param {Reply} reply
   */
  function answered(task, version, reply) {
    const outcome = task.draft.answer(version, reply);
    if (outcome === "stale") return;
    task.expires = Date.parse(reply.expires_at);
    if (reply.saved && task.draft.isCurrent(version)) kept.drop(task.id);
    if (task !== shown()) return;
    const at = clock(reply.saved_at);
    if (outcome === "lost") task.say(reply.message, "bad");
    else if (outcome === "saved") task.say(`Draft saved ${at}`);
    // Nothing is overwritten unasked: an annotator who types on here means this window to count.
    else
      task.say(
        `Not saved: another window saved this draft at ${at}. Reload to see it, or type on to replace it.`,
        "bad",
      );
    leaseShow();
  }

  /**
   * @param {Task} task
   * @param {number} version
   * @param {import("./net.js").Refusal} refusal
   */
  function failed(task, version, refusal) {
    const delay = task.draft.fail(version, refusal.passing);
    if (task !== shown() || !task.draft.dirty) return;
    if (delay === null) task.say(refusal.message, "bad");
    else {
      task.say("Not saved yet: the server is away. Your text is kept in this browser; trying again.", "bad");
      saveIn(delay);
    }
  }

  return { changed, save, hold };
}
