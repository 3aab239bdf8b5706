import assert from "node:assert/strict";
import { test } from "node:test";
import { copyOutlived, Draft } from "../../flywheel/static/js/logic/drafts.js";

const saved = (version) => ({ saved: true, version, held: true, message: "" });
const refused = (version) => ({ saved: false, version, held: true, message: "" });

/** A draft after `changes` changes, with the last one sent. */
function sent(changes, from = 0) {
  const draft = new Draft(from);
  for (let n = 0; n < changes; n++) draft.change();
  return { draft, version: draft.take() };
}

test("an unchanged draft is not sent", () => {
  const draft = new Draft(7);
  assert.equal(draft.take(), null);
});

test("several changes are one version to send, and it is sent once", () => {
  const { draft, version } = sent(3, 7);
  assert.equal(version, 10);
  assert.equal(draft.take(), null);
});

test("a saved version is current until something is typed", () => {
  const { draft, version } = sent(1);
  assert.equal(draft.answer(version, saved(version)), "saved");
  assert.equal(draft.isCurrent(version), true);
  draft.change();
  assert.equal(draft.isCurrent(version), false);
});

test("an answer that comes after the answer to a later version says nothing", () => {
  const { draft, version: first } = sent(1);
  draft.change();
  const second = draft.take();
  assert.equal(draft.answer(second, saved(second)), "saved");
  assert.equal(draft.answer(first, saved(first)), "stale");
  assert.equal(draft.answer(first, { ...saved(first), held: false }), "stale");
  assert.equal(draft.isCurrent(second), true);
});

test("a save that a later one of this window has overtaken is not taken for another window's", () => {
  const { draft, version: first } = sent(1);
  draft.change();
  const second = draft.take();
  assert.equal(draft.answer(first, refused(second)), "stale");
  assert.equal(draft.answer(second, saved(second)), "saved");
});

test("another window's newer draft is not overwritten before something is typed, and then it is", () => {
  const { draft, version } = sent(1);
  assert.equal(draft.answer(version, refused(14)), "elsewhere");
  assert.equal(draft.take(), null);
  draft.change();
  assert.equal(draft.take(), 15);
});

test("another window that has saved the very same version number is noticed", () => {
  const { draft, version } = sent(2);
  assert.equal(draft.answer(version, refused(version)), "elsewhere");
});

test("another window's draft does not take back what was typed while the answer was on its way", () => {
  const { draft, version } = sent(5);
  for (let n = 0; n < 20; n++) draft.change();
  assert.equal(draft.answer(version, refused(9)), "elsewhere");
  assert.equal(draft.take(), 25);
});

test("a lost lease is said even though the text was stored", () => {
  const { draft, version } = sent(1);
  assert.equal(draft.answer(version, { ...saved(version), held: false, message: "taken" }), "lost");
});

test("a save without an answer is sent again, later each time up to a limit", () => {
  const { draft, version } = sent(1);
  const delays = [];
  for (let n = 0; n < 7; n++) {
    delays.push(draft.fail(version, true));
    assert.equal(draft.take(), version);
  }
  assert.deepEqual(delays, [2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]);
});

test("an answer ends the growth of the delays", () => {
  const { draft, version } = sent(1);
  draft.fail(version, true);
  draft.fail(version, true);
  draft.answer(version, saved(version));
  draft.change();
  assert.equal(draft.fail(draft.take(), true), 2000);
});

test("a refused draft is not sent again by itself but with the next change", () => {
  const { draft, version } = sent(1);
  assert.equal(draft.fail(version, false), null);
  assert.equal(draft.dirty, true);
  draft.change();
  assert.equal(draft.take(), version + 1);
});

test("a failure that comes after the answer to a later version is not reported", () => {
  const { draft, version: first } = sent(1);
  draft.change();
  const second = draft.take();
  draft.answer(second, saved(second));
  assert.equal(draft.fail(first, true), null);
  assert.equal(draft.dirty, false);
});

test("only a copy newer than the server's draft is put back", () => {
  const draft = new Draft(4);
  for (const copy of [null, { version: 3 }, { version: 4 }, { version: undefined }]) {
    assert.equal(draft.restore(copy), false);
  }
  assert.equal(draft.version, 4);
  assert.equal(draft.restore({ version: 9 }), true);
  draft.change();
  assert.equal(draft.take(), 10);
});

test("a copy outlives a fortnight only, and one without a date is old", () => {
  const now = 1_800_000_000_000;
  assert.equal(copyOutlived({ at: now - 13 * 86_400_000 }, now), false);
  assert.equal(copyOutlived({ at: now - 15 * 86_400_000 }, now), true);
  assert.equal(copyOutlived({}, now), true);
  assert.equal(copyOutlived(null, now), true);
});
