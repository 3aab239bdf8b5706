/* The lease on the task in view: shown, renewed by activity, given back on leaving. */

import { find } from "./dom.js";
import { leaseShouldRenew, leaseState } from "./logic/leases.js";
import { post, refusalOf, serverNow } from "./net.js";

/** @typedef {import("./annotation-task.js").Task} Task */
/** @typedef {import("./annotation-queue.js").Ahead} Ahead */

const CHECK = 5_000;

/**
 * Returns `show`, `renew`, and `active`, to call when the annotator does something.
 * @param {object} page
 * @param {number} page.seconds of a whole lease
 * @param {() => Task | null} page.shown
 * @param {() => Promise<Ahead | null>} page.ahead the task that is held ahead
 * @param {(options: { keepalive: boolean }) => Promise<void>} page.save
 */
export function leaseInit({ seconds, shown, ahead, save }) {
  let lastActivity = Date.now();
  let renewing = false;
  let hiddenAt = 0;

  function show() {
    const task = shown();
    const box = task && find(task.form, "[data-lease]", HTMLElement);
    if (!box) return;
    const { state, words } = leaseState(task.expires, serverNow());
    box.className = state === "held" ? "" : "warn";
    box.textContent = words;
  }

  async function renew() {
    const task = shown();
    if (!task || renewing) return;
    renewing = true;
    try {
      /** @type {{ expires_at: string }} */
      const reply = await post(`/api/v1/assignments/${task.id}/renew/`, {});
      task.expires = Date.parse(reply.expires_at);
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal.passing && task === shown() && !task.busy) task.say(refusal.message, "bad");
    } finally {
      renewing = false;
    }
    show();
  }

  function active() {
    lastActivity = Date.now();
  }

  setInterval(() => {
    show();
    const task = shown();
    const idle = Date.now() - lastActivity;
    const lease = { now: serverNow(), whole: seconds * 1000, idle, hidden: document.hidden };
    if (task && leaseShouldRenew({ expires: task.expires, ...lease })) renew();
  }, CHECK);

  for (const name of ["pointermove", "keydown", "wheel"]) document.addEventListener(name, active, { passive: true });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      hiddenAt = performance.now();
      save({ keepalive: true });
    } else {
      const task = shown();
      if (task && hiddenAt) task.away += performance.now() - hiddenAt;
      active();
    }
  });

  // On leaving, the draft goes out with the page; tasks without a draft are given back at once.
  window.addEventListener("pagehide", () => {
    const task = shown();
    if (!task) return;
    if (task.draft.dirty) save({ keepalive: true });
    else release(task);
    ahead().then((next) => next && release(next));
  });

  // Back from the browser's page cache: the lease was given back on leaving.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  return { show, renew, active };
}

/** @param {{ id: string, leased: string }} held */
function release({ id, leased }) {
  // The page is gone when an answer comes; a lease that was not given back runs out.
  post(`/api/v1/assignments/${id}/release/`, { leased_at: leased }, { keepalive: true }).catch(() => {});
}
