import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { switchTheme, watchTheme } = await import("../../modules/page/assets/theme.js");

watchTheme();

beforeEach(() => {
  localStorage.clear();
  document.body.className = "";
  window.history.replaceState(null, "", "/");
});

const shown = () => [document.body.classList.contains("dark"), document.documentElement.dataset.theme];

test("the button switches the theme and remembers it", () => {
  switchTheme();
  assert.deepEqual([shown(), localStorage.getItem("webui-theme")], [[true, "dark"], "dark"]);
  switchTheme();
  assert.deepEqual([shown(), localStorage.getItem("webui-theme")], [[false, "light"], "light"]);
});

test("a theme in the address counts no more once the button was pressed", () => {
  window.history.replaceState(null, "", "/?__theme=light&x=1#y");
  switchTheme();
  assert.equal(window.location.href, "http://127.0.0.1:7860/?x=1#y");
});

test("another tab's choice holds here, and nonsense is none", () => {
  const heard = () => window.dispatchEvent(new window.StorageEvent("storage", { key: "webui-theme" }));
  localStorage.setItem("webui-theme", "dark");
  heard();
  assert.deepEqual(shown(), [true, "dark"]);
  localStorage.setItem("webui-theme", "purple");
  heard();
  assert.deepEqual(shown(), [true, "dark"]);
});
