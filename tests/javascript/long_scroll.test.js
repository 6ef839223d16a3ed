import assert from "node:assert/strict";
import { test } from "node:test";

const { LongScroll, MOST_HIGH } = await import("../../modules/page/assets/long_scroll.js");

const SEEN = 800;

/** @param {number} height */
function scrolled(height) {
  const made = new LongScroll();
  made.resize(height, SEEN);
  return made;
}

/**
 * As a wheel does it: the browser moves, stops at its own ends, and is set to another place where the list says so.
 * @param {import("../../modules/page/assets/long_scroll.js").LongScroll} scroll
 * @param {number} by
 */
function wheel(scroll, by) {
  const again = scroll.moved(Math.max(0, Math.min(scroll.room, scroll.real + by)));
  if (again !== null) scroll.go(again, Math.round);
}

test("a list that is low enough is scrolled as it is", () => {
  const long = scrolled(2_000_000);
  for (const real of [0, 5, 1_000_000, 1_999_200]) {
    assert.equal(long.moved(real), null);
    assert.equal(long.top, real);
  }
  long.go(77_000, (real) => real);
  assert.deepEqual([long.top, long.real, long.shift], [77_000, 77_000, 0]);
});

test("a list of any height is reached from its first pixel to its last, by jumps and by a wheel", () => {
  for (const height of [9_000_000, 38_000_000, 400_000_000]) {
    const long = scrolled(height);
    long.moved(long.room);
    assert.equal(long.top, height - SEEN, "the scroll bar's end is the list's");
    for (let step = 0; step < 3000; step += 1) wheel(long, -700);
    assert.equal(long.top, height - SEEN - 2_100_000, "each step moves as far as elsewhere");
    long.moved(Math.round(long.room / 2));
    assert.ok(Math.abs(long.top - (height - SEEN) / 2) < height / 1000, "the middle of one is that of the other");
    long.moved(0);
    assert.equal(long.top, 0);
    for (let step = 0; step < 3000; step += 1) wheel(long, 700);
    assert.equal(long.top, 2_100_000);
    for (let step = 0; step < 3100; step += 1) wheel(long, -700);
    assert.equal(long.top, 0);
  }
});

test("from far away a wheel comes to the ends without being stopped before", () => {
  const long = scrolled(20_000_000);
  long.go(10_000_000, Math.round);
  let before = long.top;
  while (before > 0) {
    wheel(long, -780);
    assert.equal(long.top, Math.max(0, before - 780));
    before = long.top;
  }
  long.go(10_000_000, Math.round);
  before = long.top;
  while (before < long.whole) {
    wheel(long, 780);
    assert.equal(long.top, Math.min(long.whole, before + 780));
    before = long.top;
  }
});

test("a place that is gone to is come to exactly, though browsers round", () => {
  const long = scrolled(38_000_000);
  for (const top of [0, 3, 499_999, 700_000, 19_000_001, 37_000_000, 37_999_199, 37_999_200]) {
    long.go(top, Math.round);
    assert.equal(long.top, top);
    assert.ok(long.real >= 0 && long.real <= MOST_HIGH - SEEN);
    assert.equal(long.moved(long.real), null, "what is heard of it moves nothing");
    assert.equal(long.top, top);
  }
});
