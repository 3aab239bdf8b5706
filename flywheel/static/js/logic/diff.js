/* The difference of two texts by word: a longest common subsequence over words. Without DOM access.
   The server's word_diff (difflib) is what reviewers see; this one follows while the annotator types. */

/** @typedef {{ kind: "same" | "del" | "ins", text: string }} Change */

// A placeholder such as <EMAIL_1> is one word, because half of one means nothing.
const WORDS = /\s+|<[A-Z][A-Z_]*_\d+>|[\p{L}\p{N}_]+|[^\s]/gu;

/** The most words of a text that is compared. The table has words × words cells, which is too slow beyond this. */
export const LIMIT = 1200;

/**
 * The changes that make `after` of `before`, or null when one of them is too long to compare while typing. The texts of
 * "same" and "del" together are `before`, those of "same" and "ins" are `after`.
 * @param {string} before
 * @param {string} after
 * @returns {Change[] | null}
 */
export function wordDiff(before, after) {
  const a = before.match(WORDS) ?? [];
  const b = after.match(WORDS) ?? [];
  if (a.length > LIMIT || b.length > LIMIT) return null;
  const width = b.length + 1;
  const common = commonLengths(a, b);
  /** @type {Change[]} */
  const changes = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      append(changes, "same", a[i]);
      i++;
      j++;
    } else if (i < a.length && (j === b.length || common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      append(changes, "del", a[i++]);
    } else append(changes, "ins", b[j++]);
  }
  return changes;
}

/**
 * For each pair of places the length of the longest common subsequence of what follows them, row by row of `a`.
 * @param {string[]} a
 * @param {string[]} b
 */
function commonLengths(a, b) {
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  return common;
}

/**
 * @param {Change[]} changes
 * @param {Change["kind"]} kind
 * @param {string} text
 */
function append(changes, kind, text) {
  const last = changes.at(-1);
  if (last?.kind === kind) last.text += text;
  else changes.push({ kind, text });
}
