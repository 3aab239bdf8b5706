/* The time-limited lease on a task: how long it lasts, when to renew it, when it is lost. Without DOM access.
   All times are in milliseconds; `now` is the server's time, because leases end by the server's clock. */

/** A lease that ends sooner than this is shown as a warning. */
export const SOON = 120_000;
/** Activity within this time keeps the lease; without any it runs out. */
export const ACTIVE = 60_000;
// The Date header has whole seconds and an answer takes time, so a smaller difference says nothing about the clock.
const TOLERANCE = 5_000;

/** Answers of the server by which the annotator has lost a task. */
const LOST = new Set(["lease_lost", "withdrawn", "answered", "flagged", "closed"]);

/**
 * Whether an error's code says that the task went to another person or needs no answer any more.
 * @param {string} code
 */
export function leaseLost(code) {
  return LOST.has(code);
}

/**
 * How far the server's clock is before this computer's, from the Date header of an answer. 0 when they agree to a few
 * seconds, or when the header is absent or no date.
 * @param {string | null} header
 * @param {number} clock this computer's time
 */
export function clockOffset(header, clock) {
  const difference = Date.parse(header ?? "") - clock;
  return Math.abs(difference) > TOLERANCE ? difference : 0;
}

/**
 * The state of a lease and the words for it.
 * @param {number} expires
 * @param {number} now
 * @returns {{ state: "held" | "ending" | "ended", words: string }}
 */
export function leaseState(expires, now) {
  const left = expires - now;
  if (left <= 0) return { state: "ended", words: "Lease ended: go on typing to take it up again" };
  if (left < SOON) return { state: "ending", words: `Kept for you ${Math.ceil(left / 1000)} s more` };
  return { state: "held", words: `Kept for you ${Math.round(left / 60_000)} min` };
}

/**
 * Whether to renew now: the page is seen, the annotator was active a moment ago, and a third of the lease, but at most
 * two minutes, is used up. A lease is thus renewed a few times and not at every key.
 * @param {{ expires: number, now: number, whole: number, idle: number, hidden: boolean }} lease with its whole length
 *   and the time since the last activity
 */
export function leaseShouldRenew({ expires, now, whole, idle, hidden }) {
  const used = whole - (expires - now);
  return !hidden && idle < ACTIVE && used > Math.min(whole / 3, SOON);
}
