import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import {
  NOTHING_CHOSEN,
  overlap,
  selectionMove,
  spanAdd,
  spanRemove,
  textCut,
  textLength,
  textSlice,
  wordsOf,
  wordsTouched,
} from "../../flywheel/static/js/logic/spans.js";

const FAMILY = "👨‍👩‍👧"; // five code points, eight UTF-16 units, one sign
const { Segmenter } = Intl;

afterEach(() => {
  Intl.Segmenter = Segmenter;
});

/** The pieces as Python's text[start:end] would cut them. */
const asPythonCuts = (text) => (piece) => Array.from(text).slice(piece.start, piece.end).join("");

test("an emoji outside the basic plane counts as one character", () => {
  assert.equal("☕🫖".length, 3);
  assert.equal(textLength("☕🫖"), 2);
  assert.equal(textLength(FAMILY), 5);
  assert.equal(textLength(""), 0);
});

test("a slice after an emoji is not shifted and never halves a surrogate pair", () => {
  assert.equal(textSlice("🫖 kettle", 2, 8), "kettle");
  assert.equal(textSlice("a🫖b", 1, 2), "🫖");
  assert.equal(textSlice("", 0, 3), "");
});

for (const way of ["the segmenter", "the pattern of browsers without one"]) {
  test(`cutting with ${way} covers the whole text with offsets in characters`, () => {
    if (way !== "the segmenter") delete Intl.Segmenter;
    for (const text of ["", " ", "One two", `Dear ${FAMILY} Zoë, the 🫖 is 东京大学 made.\n\n End`]) {
      const pieces = textCut(text);
      assert.equal(pieces.map((piece) => piece.text).join(""), text);
      assert.deepEqual(
        pieces.map(asPythonCuts(text)),
        pieces.map((piece) => piece.text),
      );
      assert.equal(pieces.at(-1)?.end ?? 0, textLength(text));
    }
  });
}

test("no emoji sequence and no combining accent is cut, and words without blanks are found", () => {
  const words = wordsOf(textCut(`${FAMILY} Zoe\u0308 东京大学`)).map((word) => word.text);
  assert.equal(words[0], FAMILY);
  assert.equal(words[1], "Zoe\u0308");
  assert.ok(words.length > 3, `东京大学 is more than one word: ${words}`);
});

test("blank pieces are no words, and an empty text has none", () => {
  assert.deepEqual(
    wordsOf(textCut("a \n\t b")).map((word) => word.text),
    ["a", "b"],
  );
  assert.deepEqual(wordsOf(textCut("")), []);
  assert.deepEqual(wordsOf(textCut("  \n")), []);
});

test("stretches that only touch do not overlap", () => {
  assert.equal(overlap({ start: 0, end: 3 }, { start: 3, end: 5 }), false);
  assert.equal(overlap({ start: 0, end: 4 }, { start: 3, end: 5 }), true);
  assert.equal(overlap({ start: 0, end: 9 }, { start: 3, end: 5 }), true);
});

test("a selection snaps outward to whole words", () => {
  const words = wordsOf(textCut("The kettle leaks badly"));
  assert.deepEqual(wordsTouched(words, { start: 6, end: 13 }), [1, 2]);
  assert.deepEqual(wordsTouched(words, { start: 4, end: 11 }), [1, 1]);
  assert.deepEqual(wordsTouched(words, { start: 0, end: 99 }), [0, 3]);
});

test("a selection of blanks, of nothing, or in an empty text chooses no word", () => {
  const words = wordsOf(textCut("The   kettle"));
  assert.equal(wordsTouched(words, { start: 3, end: 6 }), null);
  assert.equal(wordsTouched(words, { start: 5, end: 5 }), null);
  assert.equal(wordsTouched([], { start: 0, end: 5 }), null);
});

/** The selection after several keys, each "→", "←", "⇧→" or "⇧←". */
function pressed(keys, count, from = NOTHING_CHOSEN) {
  return keys.reduce(
    (selection, key) => selectionMove(selection, { step: key.endsWith("→") ? 1 : -1, extend: key.length > 1, count }),
    from,
  );
}

test("the first arrow chooses the word at the caret, later ones move", () => {
  assert.deepEqual(pressed(["→"], 5).chosen, [0, 0]);
  assert.deepEqual(pressed(["→", "→"], 5).chosen, [1, 1]);
  const labelled = { ...pressed(["→", "→"], 5), chosen: null };
  assert.deepEqual(pressed(["→"], 5, labelled).chosen, [1, 1]);
});

test("Shift extends in both directions around the anchor", () => {
  assert.deepEqual(pressed(["→", "→", "⇧→", "⇧→"], 9).chosen, [1, 3]);
  assert.deepEqual(pressed(["→", "→", "→", "⇧←", "⇧←"], 9).chosen, [0, 2]);
  assert.deepEqual(pressed(["→", "→", "⇧→", "⇧←", "⇧←"], 9).chosen, [0, 1]);
  assert.deepEqual(pressed(["→", "⇧→", "→"], 9).chosen, [2, 2]);
});

test("the caret stays within the text", () => {
  assert.deepEqual(pressed(["→", "→", "→"], 2).chosen, [1, 1]);
  assert.deepEqual(pressed(["→", "←", "←"], 2).chosen, [0, 0]);
  assert.equal(pressed(["→", "→"], 0).chosen, null);
});

const KETTLE = { start: 4, end: 10, text: "kettle" };

test("labels on the same stretch are one span, and the same label twice is one label", () => {
  let spans = spanAdd([], KETTLE, "what");
  spans = spanAdd(spans, KETTLE, "who");
  spans = spanAdd(spans, KETTLE, "what");
  assert.deepEqual(spans, [{ ...KETTLE, labels: ["what", "who"] }]);
});

test("overlapping stretches stay apart, in the order of the text", () => {
  const wide = { start: 0, end: 10, text: "The kettle" };
  const narrow = { start: 0, end: 3, text: "The" };
  const spans = [KETTLE, wide, narrow].reduce((all, piece) => spanAdd(all, piece, "what"), []);
  assert.deepEqual(
    spans.map((span) => span.text),
    ["The", "The kettle", "kettle"],
  );
});

test("adding and removing leave the earlier list as it was", () => {
  const before = Object.freeze([Object.freeze({ ...KETTLE, labels: Object.freeze(["what"]) })]);
  assert.equal(spanAdd(before, KETTLE, "who")[0].labels.length, 2);
  assert.deepEqual(spanRemove(before, 0), []);
  assert.deepEqual(spanRemove(before, 7), before);
  assert.deepEqual(before[0].labels, ["what"]);
});
