import assert from "node:assert/strict";
import { test } from "node:test";

import "./browser.js";

const { columnsIn, drawnRange } = await import("../../modules/page/assets/card_grid.js");

test("as many cards stand side by side as have room, and fill it", () => {
  assert.deepEqual(columnsIn(1000, 160), { columns: 5, width: 192 });
  assert.deepEqual(columnsIn(330, 160), { columns: 2, width: 160 });
  assert.deepEqual(columnsIn(100, 160), { columns: 1, width: 100 });
  // A single column is no banner.
  assert.deepEqual(columnsIn(300, 160), { columns: 1, width: 256 });
});

test("only what is seen is drawn, and two rows around it", () => {
  const view = { top: 0, height: 600, row: 200, columns: 5, total: 5000 };
  assert.deepEqual(drawnRange(view), { first: 0, last: 25 });
  assert.deepEqual(drawnRange({ ...view, top: 2000 }), { first: 40, last: 75 });
  assert.deepEqual(drawnRange({ ...view, top: 199_400 }), { first: 4975, last: 5000 });
  assert.deepEqual(drawnRange({ ...view, total: 3 }), { first: 0, last: 3 });
  assert.deepEqual(drawnRange({ ...view, top: 90_000, total: 3 }), { first: 3, last: 3 });
});
