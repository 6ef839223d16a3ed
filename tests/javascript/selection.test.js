import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import "./browser.js";

globalThis.requestAnimationFrame = (/** @type {FrameRequestCallback} */ drawn) => Number(setTimeout(drawn, 0, 0));

const { selectedPicture, selectionShown } = await import("../../modules/page/assets/selection.js");

/** @param {number} index */
function select(index) {
  const items = document.querySelectorAll(".thumbnail-item");
  for (const [number, item] of items.entries()) item.classList.toggle("selected", number === index);
}

beforeEach(() => {
  const items = `<button class="thumbnail-item"></button>`.repeat(3);
  document.body.innerHTML = `<div id="txt2img_gallery"><div class="thumbnails">${items}</div></div>`;
});

test("a request waits for the answer before it and then says what is selected", async () => {
  select(1);
  const first = await selectedPicture("txt2img", "job");
  assert.deepEqual(first, ["job", 1]);
  /** @type {unknown[]} */
  const later = [];
  select(0);
  for (const name of ["second", "third"]) selectedPicture("txt2img", name).then((inputs) => later.push(inputs));
  await sleep(60);
  assert.deepEqual(later, []);
  select(2);
  selectionShown("txt2img");
  await sleep(60);
  assert.deepEqual(later, [["second", 2]]);
  select(0);
  selectionShown("txt2img");
  await sleep(60);
  assert.deepEqual(later.at(-1), ["third", 0]);
  selectionShown("txt2img");
});

test("an answer that never comes stops nothing for good", async () => {
  select(1);
  /** @type {unknown[]} */
  const sent = [];
  // Every wait ends at once.
  const { setTimeout: later } = globalThis;
  Object.assign(globalThis, { setTimeout: (/** @type {() => void} */ over) => setImmediate(over) });
  try {
    for (const name of ["lost", "next"]) sent.push(await selectedPicture("txt2img", name));
  } finally {
    Object.assign(globalThis, { setTimeout: later });
  }
  assert.deepEqual(sent, [
    ["lost", 1],
    ["next", 1],
  ]);
});
