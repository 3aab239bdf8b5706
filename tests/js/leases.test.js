import assert from "node:assert/strict";
import { test } from "node:test";
import { clockOffset, leaseLost, leaseShouldRenew, leaseState } from "../../flywheel/static/js/logic/leases.js";

const NOW = Date.parse("2026-11-20T12:00:00Z");
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test("a lease is held, then ending, then ended", () => {
  const at = (left) => leaseState(NOW + left, NOW);
  assert.deepEqual(at(15 * MINUTE), { state: "held", words: "Kept for you 15 min" });
  assert.deepEqual(at(2 * MINUTE), { state: "held", words: "Kept for you 2 min" });
  assert.deepEqual(at(2 * MINUTE - 1), { state: "ending", words: "Kept for you 120 s more" });
  assert.deepEqual(at(1), { state: "ending", words: "Kept for you 1 s more" });
  assert.equal(at(0).state, "ended");
  assert.equal(at(-HOUR).state, "ended");
});

test("a wrong clock of the computer is corrected in both directions", () => {
  for (const wrong of [3 * HOUR, -3 * HOUR]) {
    const clock = NOW + wrong;
    const offset = clockOffset(new Date(NOW).toUTCString(), clock);
    assert.equal(clock + offset, NOW);
    assert.equal(leaseState(NOW + 15 * MINUTE, clock + offset).words, "Kept for you 15 min");
  }
});

test("a difference of a few seconds, or an absent date, changes nothing", () => {
  const header = new Date(NOW).toUTCString();
  assert.equal(clockOffset(header, NOW + 4_000), 0);
  assert.equal(clockOffset(header, NOW - 4_000), 0);
  assert.equal(clockOffset(null, NOW), 0);
  assert.equal(clockOffset("soon", NOW), 0);
});

/** A lease of 15 minutes of which two and a half are used, with the annotator at work. */
const lease = (changes = {}) => ({
  expires: NOW + 12.5 * MINUTE,
  now: NOW,
  whole: 15 * MINUTE,
  idle: 1_000,
  hidden: false,
  ...changes,
});

test("an active annotator's lease is renewed after two minutes of it", () => {
  assert.equal(leaseShouldRenew(lease()), true);
  assert.equal(leaseShouldRenew(lease({ expires: NOW + 13 * MINUTE })), false);
  assert.equal(leaseShouldRenew(lease({ expires: NOW + 15 * MINUTE })), false);
});

test("a short lease is renewed after a third of it", () => {
  const short = { whole: MINUTE, expires: NOW + 39_000 };
  assert.equal(leaseShouldRenew(lease(short)), true);
  assert.equal(leaseShouldRenew(lease({ ...short, expires: NOW + 41_000 })), false);
});

test("without activity, or on a page that is not seen, the lease runs out", () => {
  assert.equal(leaseShouldRenew(lease({ idle: MINUTE })), false);
  assert.equal(leaseShouldRenew(lease({ idle: MINUTE - 1 })), true);
  assert.equal(leaseShouldRenew(lease({ hidden: true })), false);
});

test("an ended lease is asked for again while the annotator works", () => {
  assert.equal(leaseShouldRenew(lease({ expires: NOW - HOUR })), true);
});

test("only answers that take the task away count as a lost lease", () => {
  for (const code of ["lease_lost", "withdrawn", "answered", "flagged", "closed"]) assert.equal(leaseLost(code), true);
  for (const code of ["invalid", "not_authenticated", "", "toString"]) assert.equal(leaseLost(code), false);
});
