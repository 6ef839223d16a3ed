import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { brushOn, blankForm, luminance, side } = await import("../../modules/page/assets/blank.js");
const { listenForDrops } = await import("../../modules/page/assets/drop.js");
const { listenForMenus, stop } = await import("../../modules/page/assets/forever.js");
const { drawProgress, missingAnswer } = await import("../../modules/page/assets/progress.js");
const { need } = await import("../../modules/page/assets/dom.js");

listenForDrops();
// It looks at the clock for ever, which would keep this process from ending.
Object.assign(globalThis, { setInterval: () => 0 });
listenForMenus(() => false);

beforeEach(() => {
  document.body.innerHTML = "";
});

test("a brush that can't be seen on its ground is black or white", () => {
  assert.equal(brushOn("#ffffff", "#ffffff"), "#000000");
  assert.equal(brushOn("#ffffff", "#f4f4f0"), "#000000");
  assert.equal(brushOn("#101010", "#000000"), "#ffffff");
  assert.equal(brushOn("#ffffff", "#808080"), "#ffffff");
  assert.equal(brushOn("#ff0000", "#ffffff"), "#ff0000");
  assert.equal(luminance("#ffffff"), 1);
});

test("a side is one that the size fields can have", () => {
  assert.deepEqual([1, 515, 516, 99999, Number.NaN].map(side), [64, 512, 520, 2048, 512]);
});

test("a blank canvas has the size and the colour that were chosen, at first the tab's size in white", () => {
  document.body.innerHTML = `<div id="img2img_width"><input type="number" value="320"></div>
    <div id="img2img_height"><input type="number" value="200"></div>`;
  /** @type {unknown[]} */
  const made = [];
  const form = blankForm((...chosen) => made.push(chosen));
  const press = need(form, "button", HTMLElement);
  press.click();
  const [width, height] = form.querySelectorAll("input");
  width.value = "777";
  height.value = "";
  need(form, "input[type=color]", HTMLInputElement).value = "#102030";
  press.click();
  assert.deepEqual(made, [
    [320, 200, "#ffffff"],
    [776, 512, "#102030"],
  ]);
});

/**
 * @param {string} name
 * @param {string[]} types
 * @param {EventTarget} target
 */
function dragged(name, types, target) {
  const event = new Event(name, { bubbles: true, cancelable: true });
  Object.assign(event, { dataTransfer: { types, files: [], dropEffect: "copy" } });
  target.dispatchEvent(event);
  return event;
}

test("a file that is dropped beside a box is not opened in place of the page", () => {
  document.body.innerHTML = `<p></p><textarea></textarea><div class="box"></div>`;
  const [beside, text, box] = ["p", "textarea", ".box"].map((one) => need(document, one, HTMLElement));
  for (const name of ["dragover", "drop"]) {
    assert(dragged(name, ["Files"], beside).defaultPrevented);
    assert(dragged(name, ["Files"], text).defaultPrevented);
    assert(dragged(name, ["text/uri-list"], beside).defaultPrevented);
    // An address and a text may be dropped where text is typed.
    assert(!dragged(name, ["text/uri-list"], text).defaultPrevented);
    assert(!dragged(name, ["text/plain"], beside).defaultPrevented);
  }
  // A place for files has taken it: the browser's sign for that stays.
  box.addEventListener("dragover", (event) => event.preventDefault());
  const { dataTransfer } = /** @type {DragEvent} */ (dragged("dragover", ["Files"], box));
  assert.equal(dataTransfer?.dropEffect, "copy");
});

test("who generates forever sees so under the button, and ends it there", () => {
  document.body.innerHTML = `<div class="generate-box"><button id="txt2img_generate"></button></div>`;
  const generate = need(document, "#txt2img_generate", HTMLElement);
  generate.dispatchEvent(new MouseEvent("contextmenu", { bubbles: true }));
  need(document, ".context-menu button", HTMLElement).click();
  assert.equal(document.querySelector(".forever-line span")?.textContent, "Generating forever");
  assert(generate.classList.contains("forever"));
  need(document, ".forever-line button", HTMLElement).click();
  assert.equal(document.querySelector(".forever-line"), null);
  assert(!generate.classList.contains("forever"));
  stop();
});

test("a server that takes its time is waited for, one that is gone is lost", () => {
  const slow = Object.assign(new Error("timed out"), { name: "TimeoutError" });
  const gone = new TypeError("Failed to fetch");
  const states = [
    missingAnswer(slow, false, 1),
    missingAnswer(slow, true, 9),
    missingAnswer(gone, false, 1),
    missingAnswer(gone, false, 4),
    missingAnswer(gone, true, 1),
  ];
  assert.deepEqual(
    states.map(({ state }) => state),
    ["waiting", "waiting", "waiting", "lost", "lost"],
  );
});

test("no picture is seen behind the preview of the next one, and it is back once that has ended", () => {
  const sheet = readFileSync(new URL("../../modules/page/assets/style.css", import.meta.url), "utf8");
  const rules = sheet.split("\n").filter((line) => line.includes(".behind-preview"));
  document.body.innerHTML = `<style>${rules.join("\n")}</style><div id="txt2img_gallery"></div>
    <div id="txt2img_live"><div class="live"><div class="bar"><div class="fill"></div><span class="text"></span></div>
    <img class="preview" hidden></div></div>`;
  const gallery = need(document, "#txt2img_gallery", HTMLElement);
  const preview = need(document, ".preview", HTMLImageElement);
  const state = JSON.parse(
    `{"running": {"id": "a", "mode": "txt2img", "mine": true, "visible": true, "fraction": 0.1, "step": 1, "steps": 9,
      "eta": 3, "preview": 1, "elapsed": 2, "pictures": 1, "first": 1, "last": 1, "stopping": "", "batch": null},
      "waiting": [], "waiting_count": 0, "settings": {"progressbar": true, "title": false}}`,
  );
  const shown = () => [window.getComputedStyle(gallery).display !== "none", !preview.hidden];
  /** @type {{ onload: () => void }[]} */
  const loading = [];
  const real = globalThis.Image;
  Object.assign(globalThis, {
    Image: function loadsLater() {
      loading.push(/** @type {any} */ (this));
    },
  });
  drawProgress(state, ["txt2img"], () => {});
  // Until it is there the picture before stays.
  assert.deepEqual(shown(), [true, false]);
  loading[0].onload();
  assert.deepEqual(shown(), [false, true]);
  drawProgress({ ...state, running: null }, ["txt2img"], () => {});
  assert.deepEqual(shown(), [true, false]);
  Object.assign(globalThis, { Image: real });
});
