import assert from "node:assert/strict";
import { test } from "node:test";

const { columnsIn, GridLayout } = await import("../../modules/page/assets/grid_layout.js");

test("as many boxes stand side by side as have room, and fill it", () => {
  assert.deepEqual(columnsIn(1000, 160), { columns: 5, width: 192 });
  assert.deepEqual(columnsIn(330, 160), { columns: 2, width: 160 });
  assert.deepEqual(columnsIn(100, 160), { columns: 1, width: 100 });
  // A single column is no banner.
  assert.deepEqual(columnsIn(300, 160), { columns: 1, width: 256 });
});

test("only what is seen is drawn, and two rows around it", () => {
  const grid = new GridLayout({ total: 5000, row: 200, columns: 5 });
  assert.deepEqual(grid.range(0, 600), { first: 0, last: 25 });
  assert.deepEqual(grid.range(2000, 600), { first: 40, last: 75 });
  assert.deepEqual(grid.range(199_400, 600), { first: 4975, last: 5000 });
  const few = new GridLayout({ total: 3, row: 200, columns: 5 });
  assert.deepEqual(few.range(90_000, 600), { first: 0, last: 3 });
  assert.deepEqual(new GridLayout({ total: 0, row: 200, columns: 5 }).range(0, 600), { first: 0, last: 0 });
});

test("days have headings, and each begins a row", () => {
  const grid = new GridLayout({ total: 12, row: 100, columns: 5, groups: [7, 1, 4], heading: 30 });
  assert.deepEqual(
    [0, 4, 5, 6, 7, 8, 11].map((index) => grid.placeOf(index)),
    [
      { column: 0, top: 30 },
      { column: 4, top: 30 },
      { column: 0, top: 130 },
      { column: 1, top: 130 },
      { column: 0, top: 260 },
      { column: 0, top: 390 },
      { column: 3, top: 390 },
    ],
  );
  assert.equal(grid.height, 480);
  assert.deepEqual(grid.groupsIn(0, 200), { first: 0, last: 1 });
  assert.deepEqual(grid.groupsIn(200, 200), { first: 0, last: 3 });
  assert.deepEqual(grid.groupsIn(235, 20), { first: 1, last: 2 });
});

test("of a hundred thousand in ten thousand days a screenful is found at once", () => {
  const groups = Array.from({ length: 10_000 }, () => 10);
  const grid = new GridLayout({ total: 100_000, row: 200, columns: 6, groups, heading: 40 });
  for (const index of [0, 9, 10, 49_999, 99_999]) {
    const { top } = grid.placeOf(index);
    const { first, last } = grid.range(top, 600);
    assert.ok(first <= index && index < last && last - first < 60, `${index}: ${first} to ${last}`);
  }
});

test("days that were counted at another moment leave no picture out", () => {
  const more = new GridLayout({ total: 5, row: 100, columns: 2, groups: [2, 9, 4], heading: 10 });
  assert.deepEqual([more.starts, more.end(1)], [[0, 2], 5]);
  const fewer = new GridLayout({ total: 5, row: 100, columns: 2, groups: [2], heading: 10 });
  assert.deepEqual([fewer.starts, fewer.end(1)], [[0, 2], 5]);
});

test("arrow keys go along rows and over days, and stay inside", () => {
  const grid = new GridLayout({ total: 12, row: 100, columns: 5, groups: [7, 1, 4], heading: 30 });
  /** @param {string} key @param {number} from */
  const to = (key, from) => grid.moved(key, from, 2);
  assert.deepEqual([to("ArrowRight", 6), to("ArrowLeft", 0), to("ArrowRight", 11)], [7, 0, 11]);
  assert.deepEqual([to("ArrowDown", 1), to("ArrowDown", 4), to("ArrowDown", 6), to("ArrowDown", 7)], [6, 6, 7, 8]);
  assert.deepEqual([to("ArrowUp", 10), to("ArrowUp", 7), to("ArrowUp", 6), to("ArrowUp", 3)], [7, 5, 1, 0]);
  assert.deepEqual([to("PageDown", 0), to("PageUp", 8), to("Home", 9), to("End", 0)], [7, 5, 0, 11]);
  assert.equal(to("a", 3), null);
  assert.equal(new GridLayout({ total: 0, row: 1, columns: 1 }).moved("End", 0, 1), null);
});
