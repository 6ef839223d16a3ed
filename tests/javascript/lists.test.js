import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { guardLists, placeOf } = await import("../../modules/page/assets/lists.js");
const { need } = await import("../../modules/page/assets/dom.js");

guardLists();

/** @type {HTMLInputElement} */
let field;
/** @type {string[]} */
let heard = [];

// As Gradio's list behaves: it opens with the focus and at any key, and Enter takes the focus away a moment later.
beforeEach(() => {
  document.body.innerHTML = `<div class="wrap"><div class="wrap-inner"><input role="combobox" aria-expanded="false"></div></div>`;
  field = need(document, "input", HTMLInputElement);
  heard = [];
  const open = (/** @type {boolean} */ yes) => field.setAttribute("aria-expanded", String(yes));
  field.addEventListener("focus", () => {
    heard.push("focus");
    open(true);
  });
  field.addEventListener("blur", () => {
    heard.push("blur");
    open(false);
  });
  field.addEventListener("keydown", ({ key }) => {
    heard.push(key);
    open(key !== "Escape");
    if (key !== "Enter") return;
    queueMicrotask(() => {
      open(false);
      field.blur();
    });
  });
});

/**
 * @param {string} key
 * @param {object} more
 */
async function press(key, more = {}) {
  field.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  await null;
}

const state = () => [document.activeElement === field, field.getAttribute("aria-expanded") === "true"];

test("a list is under its field while there is room, and never higher than it may be", () => {
  assert.deepEqual(placeOf({ top: 650, bottom: 680 }, 900, 900), { below: true, room: 212 });
  assert.deepEqual(placeOf({ top: 700, bottom: 800 }, 900, 60), { below: true, room: 92 });
  assert.deepEqual(placeOf({ top: 760, bottom: 790 }, 900, 900), { below: false, room: 360 });
  assert.deepEqual(placeOf({ top: 100, bottom: 130 }, 900, 900), { below: true, room: 360 });
  assert.deepEqual(placeOf({ top: 60, bottom: 90 }, 120, 900), { below: false, room: 52 });
});

test("Tab and Shift choose nothing, so Gradio doesn't hear of them and opens no list", async () => {
  field.focus();
  await press("Tab");
  await press("Shift");
  assert.deepEqual(heard, ["focus"]);
});

test("Enter chooses and leaves the focus in the field, the list closed", async () => {
  field.focus();
  await press("ArrowDown");
  await press("Enter");
  assert.deepEqual(state(), [true, false]);
  assert.deepEqual(heard, ["focus", "ArrowDown", "Enter", "blur"]);
  // Gradio has heard of the end already.
  need(document, ".wrap-inner", HTMLElement).tabIndex = 0;
  need(document, ".wrap-inner", HTMLElement).focus();
  assert.deepEqual(heard, ["focus", "ArrowDown", "Enter", "blur"]);
});

test("after Enter the arrows open the list again, and typing looks for another entry", async () => {
  field.focus();
  await press("Enter");
  heard = [];
  await press("ArrowDown");
  assert.deepEqual([heard, state()], [["focus"], [true, true]]);
  await press("Enter");
  heard = [];
  await press("h");
  assert.deepEqual(heard, ["focus", "h"]);
});

test("after Esc a click opens the list again", async () => {
  field.focus();
  await press("Escape");
  assert.deepEqual(state(), [true, false]);
  field.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  assert.deepEqual(state(), [true, true]);
});

test("a blur that nobody chose by is one", () => {
  field.focus();
  field.blur();
  assert.deepEqual(state(), [false, false]);
});

test("a list that is opened after the focus has left its field is closed again, and no other one", async () => {
  const wrap = need(document, ".wrap", HTMLElement);
  const open = () => {
    field.setAttribute("aria-expanded", "true");
    wrap.insertAdjacentHTML("beforeend", `<div class="options"><ul></ul></div>`);
  };
  field.focus();
  open();
  await null;
  assert.deepEqual(state(), [true, true]);
  need(document, ".options", HTMLElement).remove();
  field.blur();
  open();
  await null;
  assert.deepEqual(state(), [false, false]);
  assert.deepEqual(heard, ["focus", "blur", "blur"]);
});

test("a field that is none of Gradio's hears every key", () => {
  document.body.innerHTML = `<div><input role="combobox" aria-expanded="false"></div>`;
  const own = need(document, "input", HTMLInputElement);
  /** @type {string[]} */
  const keys = [];
  own.addEventListener("keydown", ({ key, defaultPrevented }) => keys.push(`${key} ${defaultPrevented}`));
  for (const key of ["ArrowDown", "Enter", "Shift"]) {
    own.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  }
  assert.deepEqual(keys, ["ArrowDown false", "Enter false", "Shift false"]);
});
