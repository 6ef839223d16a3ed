import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import "./browser.js";

const { listenForDrops } = await import("../../modules/page/assets/drop.js");
const { listenForDemo } = await import("../../modules/page/assets/demo.js");
const { drawEngine, drawRecent } = await import("../../modules/page/assets/progress.js");
const { toast, lasting, say } = await import("../../modules/page/assets/messages.js");
const { remember, restored } = await import("../../modules/page/assets/memory.js");
const { find, need } = await import("../../modules/page/assets/dom.js");

beforeEach(() => {
  document.body.innerHTML = "";
  localStorage.clear();
});

test("an element that is missing, or another kind, is no element", () => {
  document.body.innerHTML = `<input id="a"><p id="b"></p>`;
  assert.equal(need(document, "#a", HTMLInputElement).id, "a");
  assert.equal(find(document, "#b", HTMLInputElement), null);
  assert.throws(() => need(document, "#c", HTMLElement), /The page has no #c/);
});

test("a toast is text and can be taken away", () => {
  say(JSON.stringify({ text: "<b>Saved</b>", kind: "info" }));
  toast("Not saved.");
  const notes = [...document.querySelectorAll(".note")];
  assert.deepEqual(
    notes.map((one) => [one.textContent, one.className]),
    [
      ["<b>Saved</b>", "note info"],
      ["Not saved.", "note error"],
    ],
  );
  need(document, ".note", HTMLElement).click();
  assert.equal(document.querySelectorAll(".note").length, 1);
});

test("a message under the gallery stays until it is taken away", () => {
  document.body.innerHTML = `<div id="img2img_message"><div class="message" hidden></div></div>`;
  const message = need(document, ".message", HTMLElement);
  lasting("It failed.", "img2img");
  assert.deepEqual([message.hidden, message.textContent], [false, "It failed."]);
  lasting("", "img2img");
  assert.equal(message.hidden, true);
});

test("a form is stored once it was restored, and not before", async () => {
  window.webuiForms = { txt2img: [["steps"], [30]] };
  remember("txt2img", ["steps"], [20]);
  await sleep(200);
  assert.equal(localStorage.getItem("webui-txt2img"), null);
  restored();
  remember("txt2img", ["steps"], [31]);
  await sleep(200);
  assert.equal(localStorage.getItem("webui-txt2img"), `{"steps":31}`);
});

test("the row of earlier jobs marks the one on display and shows another when pressed", () => {
  document.body.innerHTML = `<div id="txt2img_recent"><div class="recent" hidden></div></div>`;
  const row = need(document, ".recent", HTMLElement);
  /** @type {string[]} */
  const chosen = [];
  const job = { mode: /** @type {const} */ ("txt2img"), state: "finished", images: 1, cause: null, notices: [] };
  drawRecent("txt2img", [{ ...job, id: "one" }], "one", (id) => chosen.push(id));
  assert.equal(row.hidden, true);
  const two = ["two", "one"].map((id) => ({ ...job, id }));
  drawRecent("txt2img", two, "two", (id) => chosen.push(id));
  const buttons = [...row.querySelectorAll("button")];
  assert.deepEqual([row.hidden, buttons.map((one) => one.className)], [false, ["chosen", ""]]);
  buttons[1].click();
  assert.deepEqual(chosen, ["one"]);
});

test("a text file dropped on a prompt is pasted and read", async () => {
  document.body.innerHTML = `<div id="tab_img2img"><div id="img2img_prompt"><textarea></textarea></div></div>
    <button id="img2img_paste"></button>`;
  const box = need(document, "textarea", HTMLTextAreaElement);
  const pressed = new Promise((resolve) => need(document, "button", HTMLElement).addEventListener("click", resolve));
  listenForDrops();
  const file = Object.assign(new Blob(["an apple\nSteps: 20"], { type: "text/plain" }), { name: "a.txt" });
  const event = new Event("drop", { bubbles: true, cancelable: true });
  Object.assign(event, { dataTransfer: { types: ["Files"], files: [file] } });
  box.dispatchEvent(event);
  await pressed;
  assert.equal(event.defaultPrevented, true);
  assert.equal(box.value, "an apple\nSteps: 20");
});

test("the state line says how long a picture takes, while there is nothing worse to say", () => {
  document.body.innerHTML =
    '<div id="engine_status"><div class="engine"><i></i><span></span><span class="pace"></span></div></div>' +
    '<div class="estimate"><span class="pace" hidden>About 8 s.</span></div><div class="estimate"></div>';
  const line = need(document, ".engine", HTMLElement);
  drawEngine({ state: "ready", sentence: "Ready: CPU.", details: "Ready: CPU in fp32.", checkpoint: "demo-emoji" });
  assert.equal(line.textContent, "Ready: CPU.About 8 s.");
  assert.equal(line.title, "Ready: CPU in fp32.");
  drawEngine({ state: "problem", sentence: "x is no file.", details: "x is no file.", checkpoint: null });
  assert.equal(line.textContent, "x is no file.");
  assert.equal(line.title, "");
});

test("the demo notice is unfolded, and taken away for good", () => {
  document.body.innerHTML =
    '<div id="demo_notice"><button id="demo_more"></button><button id="demo_dismiss"></button></div>';
  document.body.className = "demo";
  listenForDemo();
  need(document, "#demo_more", HTMLElement).click();
  assert.ok(need(document, "#demo_notice", HTMLElement).classList.contains("unfolded"));
  assert.ok(!document.body.classList.contains("demo-dismissed"));
  need(document, "#demo_dismiss", HTMLElement).click();
  assert.ok(document.body.classList.contains("demo-dismissed"));
  document.body.className = "demo";
  listenForDemo();
  assert.ok(document.body.classList.contains("demo-dismissed"), "the next page shows none");
});
