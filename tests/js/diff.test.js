import assert from "node:assert/strict";
import { test } from "node:test";
import { LIMIT, wordDiff } from "../../flywheel/static/js/logic/diff.js";

const PAIRS = [
  ["", ""],
  ["", "One two"],
  ["One two", ""],
  ["Please restart it.", "Please reset it now."],
  ["a b c a b", "b a c b a"],
  ["Write to <EMAIL_1>", "Write to <EMAIL_2>"],
  ["Danke 🫖 schön", "Danke 👍 schön"],
  ["a\n\nb", "a b"],
];

const texts = (changes, ...kinds) =>
  changes
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ text }) => text)
    .join("");

for (const [before, after] of PAIRS) {
  test(`the changes from ${JSON.stringify(before)} to ${JSON.stringify(after)} hold both texts whole`, () => {
    const changes = wordDiff(before, after);
    assert.equal(texts(changes, "same", "del"), before);
    assert.equal(texts(changes, "same", "ins"), after);
    assert.ok(
      changes.every(({ kind }, n) => kind !== changes[n - 1]?.kind),
      "neighbours of one kind are joined",
    );
  });
}

test("only the words that differ are changes", () => {
  assert.deepEqual(wordDiff("Please restart it.", "Please reset it."), [
    { kind: "same", text: "Please " },
    { kind: "del", text: "restart" },
    { kind: "ins", text: "reset" },
    { kind: "same", text: " it." },
  ]);
});

test("words added in front leave the rest the same", () => {
  assert.deepEqual(wordDiff("send it back", "Dear customer, send it back"), [
    { kind: "ins", text: "Dear customer, " },
    { kind: "same", text: "send it back" },
  ]);
});

test("a placeholder and an emoji are each replaced as a whole", () => {
  assert.deepEqual(wordDiff("<EMAIL_1>", "<EMAIL_2>"), [
    { kind: "del", text: "<EMAIL_1>" },
    { kind: "ins", text: "<EMAIL_2>" },
  ]);
  // The two share their first surrogate.
  assert.deepEqual(wordDiff("😀", "😁"), [
    { kind: "del", text: "😀" },
    { kind: "ins", text: "😁" },
  ]);
});

test("the longest common part is kept, not the first one", () => {
  assert.equal(texts(wordDiff("x a b c d", "a b c d x"), "same"), "a b c d");
});

test("texts beyond the limit are not compared", () => {
  const long = "a ".repeat(LIMIT / 2 + 1);
  assert.equal(wordDiff(long, "a"), null);
  assert.equal(wordDiff("a", long), null);
  assert.notEqual(wordDiff("a ".repeat(LIMIT / 2), "a"), null);
});
