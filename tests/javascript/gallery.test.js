import assert from "node:assert/strict";
import { test } from "node:test";

import "./browser.js";

const { bytesText, timelineMarks } = await import("../../modules/page/assets/gallery_text.js");
const { changedParts, changedPieces } = await import("../../modules/page/assets/result_links.js");
const { bestMatch } = await import("../../modules/page/assets/gallery_tab.js");
const { sizeOf } = await import("../../modules/page/assets/gallery_send.js");
const { differingShare } = await import("../../modules/page/assets/gallery_compare.js");
const { changesTable } = await import("../../modules/page/assets/differences_view.js");
const { offer } = await import("../../modules/page/assets/messages.js");
const side = await import("../../modules/page/assets/gallery_side.js");

test("a timeline marks the months that it has room for, and years before months", () => {
  const days = ["2026-03-09", "2026-03-01", "2026-02-28", "2026-01-05", "2025-12-31", "2025-06-01"];
  const tops = [40, 300, 600, 620, 640, 900];
  const marks = timelineMarks(days, tops, 1000, 10);
  assert.deepEqual(
    marks.map(({ day, group, year }) => [day, group, year]),
    [
      ["2026-03-09", 0, true],
      ["2025-12-31", 4, true],
      ["2025-06-01", 5, false],
    ],
  );
  assert.deepEqual(timelineMarks([], [], 0, 10), []);
  assert.equal(timelineMarks(days, tops, 1000, 100).length, 5);
});

test("sizes of files are read at a glance", () => {
  assert.deepEqual([3, 4200, 1_530_000].map(bytesText), ["1 kB", "4 kB", "1.5 MB"]);
});

test("what changed since the picture before is named piece by piece", () => {
  const before = "a red fox, night\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 5, Model hash: a1";
  const after =
    "a blue fox, night, stars\nNegative prompt: blurry\nSteps: 25, Sampler: Euler a, Seed: 6, Model hash: b2";
  const pieces = changedPieces(before, after).map((piece) =>
    piece.map((one) => (typeof one === "string" ? one : `${one.nodeName}:${one.textContent}`)).join(""),
  );
  assert.deepEqual(pieces, ["B:Prompt DEL:red INS:blue INS:stars", "B:Steps DEL:20 INS:25", "B:Seed DEL:5 INS:6"]);
  assert.deepEqual(changedPieces(after, after), []);
  assert.deepEqual(changedParts([{ kind: "added", text: ", " }]), []);
});

test("of pictures with one name that in the folder of the address is meant", () => {
  const shot = (/** @type {string} */ name, /** @type {string} */ folder) => /** @type {any} */ ({ name, folder });
  /** @type {[number, any][]} */
  const entries = [
    [0, shot("1.png", "txt2img-images/2026-01-01")],
    [1, shot("1.png", "txt2img-images/2026-01-02")],
    [2, shot("11.png", "txt2img-images/2026-01-02")],
  ];
  assert.equal(bestMatch(entries, "1.png", "/file=/data/outputs/txt2img-images/2026-01-02/1.png"), 1);
  assert.equal(bestMatch(entries, "1.png", "/elsewhere/1.png"), 0);
  assert.equal(bestMatch(entries, "2.png", "/elsewhere/2.png"), null);
});

test("a picture's size for the form is that of its parameters, else its own", () => {
  const shot = /** @type {any} */ ({ width: 1024, height: 2048, fields: { Size: "512x1024" } });
  assert.deepEqual(sizeOf(shot), ["512", "1024"]);
  assert.deepEqual(sizeOf({ ...shot, fields: {} }), ["1024", "2048"]);
});

test("pixels differ where that can be seen", () => {
  assert.equal(differingShare(Uint8ClampedArray.from([0, 0, 0, 255, 9, 0, 0, 255, 0, 0, 200, 255, 8, 8, 8, 255])), 0.5);
  assert.equal(differingShare(new Uint8ClampedArray()), 0);
});

test("pictures are compared with the first one, by what they don't share", () => {
  const one = { letter: "A", name: "a.png", prompt: "a fox", negative_prompt: "", fields: { Seed: "1", Steps: "20" } };
  const other = { ...one, letter: "B", prompt: "an owl", fields: { Seed: "2", Steps: "20" } };
  const rows = [...changesTable([one, other]).querySelectorAll("tbody tr")].map((row) =>
    row.innerHTML.replace(/<(\/?)t[hd][^>]*>/g, "|"),
  );
  assert.deepEqual(rows, [
    "|Prompt||a fox||<del>a</del><ins>an</ins> <del>fox</del><ins>owl</ins>|",
    "|Seed||1||<del>1</del><ins>2</ins>|",
  ]);
  assert.equal(changesTable([one, { ...one }]).textContent, "All parameters are the same.");
});

test("an offer is taken once, and stands in the dialog that is open", () => {
  document.body.innerHTML = "<dialog open></dialog>";
  let taken = 0;
  offer("1 picture moved to the trash.", "Undo", () => (taken += 1));
  const press = document.querySelector("dialog .toasts .offer button");
  assert.ok(press instanceof HTMLElement);
  press.click();
  assert.deepEqual([taken, document.querySelectorAll(".offer").length], [1, 0]);
});

test("folders named for days stand with the newest first, others as they were", () => {
  const { newestFirst } = side;
  const names = ["art", "img2img-images/2026-09-01", "img2img-images/2026-10-02", "txt2img-images/2025-12-31", "zoo"];
  const folders = names.map((name) => ({ name, count: 1 }));
  assert.deepEqual(
    newestFirst(folders).map(({ name }) => name),
    ["art", "img2img-images/2026-10-02", "img2img-images/2026-09-01", "txt2img-images/2025-12-31", "zoo"],
  );
  assert.deepEqual(
    folders.map(({ name }) => name),
    names,
  );
});

test("how many pictures of a large trash are deleted later is said", async () => {
  const { Actions } = await import("../../modules/page/assets/gallery_actions.js");
  const before = { fetch: globalThis.fetch, confirm: globalThis.confirm };
  const answer = { deleted: ["a-1"], refused: { "a-2": "two.png can't be deleted: access denied." }, later: 3000 };
  globalThis.confirm = () => true;
  globalThis.fetch = async () => Response.json(answer);
  let loads = 0;
  const reload = async () => {
    loads += 1;
  };
  const gallery = /** @type {any} */ ({ reload });
  try {
    await new Actions(gallery).emptyTrash();
  } finally {
    Object.assign(globalThis, before);
  }
  const said = [...document.querySelectorAll(".note")].map(({ textContent }) => textContent);
  assert.equal(loads, 1);
  assert.deepEqual(said.slice(-2), [
    "two.png can't be deleted: access denied.",
    "3,000 pictures more are deleted in the next minutes, while nothing else is to do.",
  ]);
});
