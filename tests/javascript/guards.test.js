/** @import { EndedJob, PageState } from "../../modules/page/assets/types.js" */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { guardFocus } = await import("../../modules/page/assets/focus.js");
const { guardSliders } = await import("../../modules/page/assets/sliders.js");
const { addOwn, adopt, isOwn } = await import("../../modules/page/assets/own_jobs.js");
const { need } = await import("../../modules/page/assets/dom.js");

guardFocus();
guardSliders();

beforeEach(() => {
  document.body.innerHTML = "";
});

test("a thumbnail takes the focus from who is in its gallery only", () => {
  document.body.innerHTML = `<textarea></textarea><div id="txt2img_gallery">
    <button class="thumbnail-item" id="one"></button><button class="thumbnail-item" id="two"></button></div>`;
  const [one, two] = [need(document, "#one", HTMLElement), need(document, "#two", HTMLElement)];
  const box = need(document, "textarea", HTMLTextAreaElement);
  box.focus();
  one.focus();
  assert.equal(document.activeElement, box);
  // As a click on it does.
  const gallery = need(document, "#txt2img_gallery", HTMLElement);
  gallery.tabIndex = -1;
  gallery.focus();
  two.focus();
  assert.equal(document.activeElement, two);
});

/**
 * @param {EventTarget} target
 * @param {string} kind
 * @param {number} x
 * @param {number} y
 */
function finger(target, kind, x, y) {
  const event = new Event(kind, { bubbles: true });
  Object.assign(event, { pointerType: "touch", isPrimary: true, clientX: x, clientY: y });
  target.dispatchEvent(event);
}

function slider() {
  document.body.innerHTML = `<input type="range" min="1" max="150" value="20">`;
  const made = need(document, "input", HTMLInputElement);
  /** @type {string[]} */
  const heard = [];
  made.addEventListener("input", () => heard.push(made.value));
  return { made, heard };
}

test("a finger that scrolls leaves the slider as it was", () => {
  const { made, heard } = slider();
  finger(made, "pointerdown", 100, 100);
  made.value = "123"; // as the browser does where the finger comes down
  finger(made, "pointermove", 102, 80);
  finger(made, "pointercancel", 102, 80);
  assert.deepEqual([made.value, heard], ["20", []]);
});

test("a finger that moves sideways, or taps, sets the slider", () => {
  const { made, heard } = slider();
  finger(made, "pointerdown", 100, 100);
  made.value = "90";
  finger(made, "pointermove", 115, 104);
  assert.deepEqual(heard, ["90"]);
  finger(made, "pointerup", 115, 104);
  finger(made, "pointerdown", 40, 100);
  made.value = "30";
  finger(made, "pointerup", 40, 100);
  assert.deepEqual([made.value, heard], ["30", ["90", "30"]]);
});

/** @type {EndedJob} */
const ENDED = { id: "", mode: "txt2img", state: "finished", images: 1, cause: null, notices: [] };

test("a tab without jobs adopts the newest result of each mode; one with jobs its own", () => {
  const recent = [
    { ...ENDED, id: "new" },
    { ...ENDED, id: "old" },
    { ...ENDED, id: "other", mode: /** @type {const} */ ("img2img") },
  ];
  /** @type {Pick<PageState, "running" | "waiting" | "recent">} */
  const state = {
    running: null,
    waiting: [{ id: "w", mine: true, visible: true, position: 1, prompt: "", files: 0 }],
    recent,
  };
  adopt(state);
  assert.deepEqual(["new", "old", "other", "w", "else"].map(isOwn), [true, false, true, true, false]);
  addOwn("else");
  adopt({ ...state, recent: [{ ...ENDED, id: "newer" }, ...recent] });
  assert.deepEqual(["newer", "else"].map(isOwn), [false, true]);
  assert.deepEqual(JSON.parse(sessionStorage.getItem("webui-jobs") ?? ""), ["w", "new", "other", "else"]);
});
