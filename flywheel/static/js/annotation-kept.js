/* Drafts kept in this browser while the server does not have them. */

import { copyOutlived } from "./logic/drafts.js";

/** @typedef {import("./annotation-result.js").Item} Item */
/** @typedef {{ version: number, result: Item[], at: number }} Copy */

const PREFIX = "flywheel-draft-";

export const kept = {
  /**
   * @param {string} id of the assignment
   * @param {{ version: number, result: Item[] }} draft
   */
  put(id, draft) {
    try {
      localStorage.setItem(PREFIX + id, JSON.stringify({ ...draft, at: Date.now() }));
    } catch {
      // Storage is full or blocked: the server's copy is the only one.
    }
  },

  /**
   * @param {string} id
   * @returns {Copy | null}
   */
  get(id) {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + id) ?? "null");
    } catch {
      return null;
    }
  },

  /** @param {string} id */
  drop(id) {
    try {
      localStorage.removeItem(PREFIX + id);
    } catch {
      // Storage is blocked, so nothing was kept.
    }
  },

  /** Remove the copies of tasks that are long gone. */
  sweep() {
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith(PREFIX)) continue;
        if (copyOutlived(kept.get(key.slice(PREFIX.length)), Date.now())) localStorage.removeItem(key);
      }
    } catch {
      // Storage is blocked, so nothing was kept.
    }
  },
};
