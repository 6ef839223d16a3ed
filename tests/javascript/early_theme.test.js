import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { JSDOM } from "jsdom";

const script = readFileSync(new URL("../../modules/page/assets/early_theme.js", import.meta.url), "utf-8");

/**
 * The theme in the address and on the document of a page that has the script in its head.
 * @param {string} flag
 */
function chosen(flag, { query = "", stored = "" } = {}) {
  const { window } = new JSDOM("<!doctype html>", {
    url: `http://127.0.0.1:7860/${query}`,
    runScripts: "outside-only",
  });
  if (stored) window.localStorage.setItem("webui-theme", stored);
  Object.defineProperty(window.document, "currentScript", { value: { dataset: { theme: flag } } });
  window.eval(script);
  const found = [
    new URL(window.location.href).searchParams.get("__theme"),
    window.document.documentElement.dataset.theme,
  ];
  // It waits for Gradio's page, which never comes here.
  window.close();
  return found;
}

test("the flag is the last to choose the theme, behind the button and the address", () => {
  assert.deepEqual(chosen(""), [null, undefined]);
  assert.deepEqual(chosen("dark"), ["dark", "dark"]);
  assert.deepEqual(chosen("dark", { stored: "light" }), ["light", "light"]);
  assert.deepEqual(chosen("dark", { stored: "light", query: "?__theme=dark" }), ["dark", "dark"]);
  assert.deepEqual(chosen("dark", { stored: "purple" }), ["dark", "dark"]);
});
