/* Stretches of a text: its words, selections that snap to words, labels on stretches. Without DOM access.

   Offsets are in characters (Unicode code points), because Label Studio and the server count those. JavaScript counts
   UTF-16 units, in which an emoji is two and shifts everything behind it. */

/** @typedef {{ start: number, end: number }} Stretch */
/** @typedef {Stretch & { text: string }} Piece */
/** @typedef {Piece & { labels: string[] }} Span */
/**
 * A selection of words by their indices. `caret` moves and `anchor` stays while the selection is extended.
 * @typedef {{ anchor: number, caret: number, chosen: [number, number] | null }} Selection
 */

/** @type {Selection} */
export const NOTHING_CHOSEN = { anchor: 0, caret: 0, chosen: null };

/**
 * The number of characters of a text.
 * @param {string} text
 */
export function textLength(text) {
  return [...text].length;
}

/**
 * The characters from `start` up to and without `end`.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 */
export function textSlice(text, start, end) {
  return [...text].slice(start, end).join("");
}

/**
 * The whole text in pieces: words, punctuation and what separates them. Words are those of the language, so that no
 * emoji and no accent is cut and text without blanks has words too.
 * @param {string} text
 * @returns {Piece[]}
 */
export function textCut(text) {
  let offset = 0;
  return segmentsOf(text).map((segment) => {
    const start = offset;
    offset += textLength(segment);
    return { text: segment, start, end: offset };
  });
}

/**
 * @param {string} text
 * @returns {string[]}
 */
function segmentsOf(text) {
  // Browsers before 2024 may lack the segmenter; words are then runs of letters, marks and digits.
  if (!globalThis.Intl?.Segmenter) return text.match(/\s+|[\p{L}\p{M}\p{N}_]+|[^\s]/gu) ?? [];
  return [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)].map((part) => part.segment);
}

/**
 * The pieces that can be selected: all that are not blank.
 * @param {Piece[]} pieces
 */
export function wordsOf(pieces) {
  return pieces.filter((piece) => piece.text.trim());
}

/**
 * Whether two stretches share a character. Stretches that only touch do not.
 * @param {Stretch} one
 * @param {Stretch} other
 */
export function overlap(one, other) {
  return one.start < other.end && one.end > other.start;
}

/**
 * The first and last word that a stretch touches, or null when it lies between words.
 * @param {Piece[]} words in the order of the text
 * @param {Stretch} stretch
 * @returns {[number, number] | null}
 */
export function wordsTouched(words, stretch) {
  const first = words.findIndex((word) => overlap(word, stretch));
  if (first === -1) return null;
  return [first, words.findLastIndex((word) => overlap(word, stretch))];
}

/**
 * The selection after an arrow key: `step` is 1 or -1, `extend` whether Shift is down. The first key after a label was
 * put chooses the word at the caret and does not move.
 * @param {Selection} selection
 * @param {{ step: number, extend: boolean, count: number }} key with the number of words
 * @returns {Selection}
 */
export function selectionMove({ anchor, caret, chosen }, { step, extend, count }) {
  if (!count) return NOTHING_CHOSEN;
  const moved = Math.min(Math.max(caret + (chosen ? step : 0), 0), count - 1);
  const stays = extend ? anchor : moved;
  return { anchor: stays, caret: moved, chosen: [Math.min(stays, moved), Math.max(stays, moved)] };
}

/**
 * The spans with a label put on a stretch, in the order of the text. A stretch has one span, which collects its labels
 * once each; spans of different stretches may overlap.
 * @param {Span[]} spans
 * @param {Piece} piece
 * @param {string} label
 * @returns {Span[]}
 */
export function spanAdd(spans, { start, end, text }, label) {
  const known = spans.find((span) => span.start === start && span.end === end);
  const added = { start, end, text, labels: [...new Set([...(known?.labels ?? []), label])] };
  return [...spans.filter((span) => span !== known), added].sort((a, b) => a.start - b.start || a.end - b.end);
}

/**
 * The spans without the one at an index.
 * @param {Span[]} spans
 * @param {number} index
 */
export function spanRemove(spans, index) {
  return spans.filter((_, place) => place !== index);
}
