import assert from "node:assert/strict";
import { test } from "node:test";

import "./browser.js";

const { BoxesEditor, boxesOf, moved, sized, textOfBoxes } = await import("../../modules/page/assets/boxes.js");

test("boxes are read from a text and written to it; what is none is left out", () => {
  const text = "[[0,0.5,0,1,1],[0.5,1,0,1,0.25]]";
  assert.equal(textOfBoxes(boxesOf(text)), text);
  assert.equal(textOfBoxes(boxesOf("[[0,1,0,1]]")), "[[0,1,0,1,1]]");
  for (const odd of ["", "[1", "{}", '[[0,"x",0,1]]', "[[0]]"]) assert.deepEqual(boxesOf(odd), []);
});

test("a box stays inside the picture and does not vanish", () => {
  const [box] = boxesOf("[[0.5,0.75,0,0.5,1]]");
  assert.equal(textOfBoxes([moved(box, 0.9, -0.9)]), "[[0.75,1,0,0.5,1]]");
  assert.equal(textOfBoxes([sized(box, 9, -9)]), "[[0.5,1,0,0.02,1]]");
});

test("keys move, size and remove a box, and the text follows", () => {
  document.body.innerHTML = '<div id="text"><textarea></textarea></div><div class="boxes" data-text="text"></div>';
  const field = /** @type {HTMLTextAreaElement} */ (document.querySelector("textarea"));
  field.value = "[[0,0.5,0,1,1],[0.5,1,0,0.5,1]]";
  const place = /** @type {HTMLElement} */ (document.querySelector(".boxes"));
  new BoxesEditor(place);
  const press = (/** @type {string} */ key, shiftKey = false) =>
    place
      .querySelectorAll(".boxes-box")[1]
      .dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, bubbles: true, cancelable: true }));
  press("ArrowLeft");
  press("ArrowDown", true);
  assert.equal(field.value, "[[0,0.5,0,1,1],[0.49,0.99,0,0.51,1]]");
  press("Delete");
  assert.equal(field.value, "[[0,0.5,0,1,1]]");
  place.querySelector("button:not(.boxes-box button)")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  assert.equal(boxesOf(field.value).length, 2);
});
