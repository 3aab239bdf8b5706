/* The draft of one task: which version to send, and what the server's answer to a version means. Without DOM access.

   Each change makes a new version. Saves may overlap on a slow network and their answers may come in any order, so an
   answer counts only when no later version has been answered. */

/** @typedef {{ saved: boolean, version: number, held: boolean, message: string }} Reply the server's answer to a save */
/**
 * What an answer means: the draft is saved; another window has saved a newer one; the lease is lost, while the text is
 * kept; or a later save has overtaken this one and nothing is to be said.
 * @typedef {"saved" | "elsewhere" | "lost" | "stale"} Outcome
 */

const RETRY_BASE = 1_000;
const RETRY_STEPS = 5;
const FORTNIGHT = 14 * 86_400_000;

/** The state of one task's draft. It performs no request: the page asks it what to send and reports how that ended. */
export class Draft {
  /** @param {number} version the version that the server has */
  constructor(version) {
    this.version = version;
    this.dirty = false;
    this.failures = 0;
    /** @type {Set<number>} versions that were sent from here */
    this.sent = new Set();
    this.answered = 0;
  }

  /** Count a change of what is typed. */
  change() {
    this.version += 1;
    this.dirty = true;
  }

  /**
   * Continue from a copy that this browser kept, when it is newer than what the server has. Returns whether it is.
   * @param {{ version: number } | null} copy
   */
  restore(copy) {
    if (!copy || !(copy.version > this.version)) return false;
    this.version = copy.version;
    return true;
  }

  /** The version to send now, or null when nothing has changed since the last one was sent. */
  take() {
    if (!this.dirty) return null;
    this.dirty = false;
    this.sent.add(this.version);
    return this.version;
  }

  /**
   * Record the answer to a version.
   * @param {number} version
   * @param {Reply} reply
   * @returns {Outcome}
   */
  answer(version, reply) {
    if (version < this.answered) return "stale";
    this.answered = version;
    this.failures = 0;
    if (!reply.held) return "lost";
    if (reply.saved) return "saved";
    // A later save of this window arrived first; its own answer is on the way.
    if (reply.version > version && this.sent.has(reply.version)) return "stale";
    // Typing on must win over the other window: the next change has to be newer than what that one saved.
    this.version = Math.max(this.version, reply.version);
    return "elsewhere";
  }

  /**
   * Record that a version was not answered. Returns after how many milliseconds to send the draft again, or null when a
   * later version was answered, or the server has refused this one and would refuse it again.
   * @param {number} version
   * @param {boolean} passing whether the same request may succeed later
   */
  fail(version, passing) {
    if (version < this.answered) return null;
    this.dirty = true;
    if (!passing) return null;
    this.failures = Math.min(this.failures + 1, RETRY_STEPS);
    return RETRY_BASE * 2 ** this.failures;
  }

  /**
   * Whether the server has everything up to now, so that the browser's copy can go.
   * @param {number} version that was saved
   */
  isCurrent(version) {
    return version === this.version;
  }
}

/**
 * Whether a copy in this browser is so old that its task is long gone.
 * @param {{ at?: number } | null} copy
 * @param {number} now
 */
export function copyOutlived(copy, now) {
  return now - (copy?.at ?? 0) > FORTNIGHT;
}
