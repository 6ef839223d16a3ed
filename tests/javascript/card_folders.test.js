import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import "./browser.js";

const { CardFolders, rowsOf } = await import("../../modules/page/assets/card_folders.js");

const FOLDERS = ["cats/", "cats 2/", "cats/big/", "cats/big/lions/", "dogs/"];

/** @param {...string} open */
const names = (...open) => rowsOf(FOLDERS, new Set(open)).map(({ name, depth }) => `${depth} ${name}`);

beforeEach(() => {
  document.body.replaceChildren();
  localStorage.clear();
});

test("what lies in a closed folder isn't shown, and each folder stands before those in it", () => {
  assert.deepEqual(names(), ["0 all", "0 cats", "0 cats 2", "0 dogs"]);
  assert.deepEqual(names("cats/", "dogs/"), ["0 all", "0 cats", "1 big", "0 cats 2", "0 dogs"]);
  assert.deepEqual(names("cats/", "cats/big/"), ["0 all", "0 cats", "1 big", "2 lions", "0 cats 2", "0 dogs"]);
  // Open inside of a closed one.
  assert.deepEqual(names("cats/big/"), ["0 all", "0 cats", "0 cats 2", "0 dogs"]);
});

/** @param {string} [chosen] */
function tree(chosen = "") {
  /** @type {string[]} */
  const chose = [];
  const folders = new CardFolders("lora", (folder) => {
    chose.push(folder);
    folders.show(FOLDERS, folder, true);
  });
  document.body.append(folders.root);
  folders.show(FOLDERS, chosen, true);
  return chose;
}

/** @param {string} path */
const row = (path) => {
  const found = document.querySelector(`[role=treeitem][data-folder="${path}"]`);
  return found instanceof HTMLElement ? found : null;
};
/** @param {string[]} keys */
const press = (...keys) => {
  for (const key of keys) document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  return document.activeElement?.getAttribute("data-folder");
};

test("by keys folders open and close, and the focus goes from row to row", () => {
  const chose = tree();
  row("")?.focus();
  assert.equal(press("ArrowDown"), "cats/");
  assert.equal(row("cats/big/"), null);
  assert.equal(press("ArrowRight"), "cats/");
  assert.equal(row("cats/")?.getAttribute("aria-expanded"), "true");
  assert.equal(press("ArrowRight"), "cats/big/");
  assert.equal(row("cats/big/")?.getAttribute("aria-level"), "2");
  assert.equal(press("ArrowRight", "ArrowDown"), "cats/big/lions/");
  assert.equal(press("ArrowRight"), "cats/big/lions/");
  assert.equal(press("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft"), "cats/");
  assert.equal(row("cats/")?.getAttribute("aria-expanded"), "false");
  assert.equal(press("ArrowLeft"), "cats/");
  assert.equal(press("End", "ArrowDown"), "dogs/");
  assert.equal(press("Home", "ArrowUp"), "");
  // Tab stops at one row.
  assert.deepEqual(
    [...document.querySelectorAll("[role=treeitem][tabindex='0']")].map((one) => one.getAttribute("data-folder")),
    [""],
  );
  assert.deepEqual(chose, []);
  row("dogs/")?.click();
  assert.deepEqual(chose, ["dogs/"]);
  assert.equal(row("dogs/")?.getAttribute("aria-selected"), "true");
});

test("what is open stays so over reloads, for each kind of cards", () => {
  tree();
  row("cats/")
    ?.querySelector(".card-fold")
    ?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  document.body.replaceChildren();
  const chose = tree("cats/big/");
  assert.notEqual(row("cats/big/"), null);
  // A closed folder takes over from a chosen one that disappears in it.
  row("cats/")
    ?.querySelector(".card-fold")
    ?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  assert.deepEqual(chose, ["cats/"]);
  assert.equal(row("cats/big/"), null);
  const other = new CardFolders("checkpoints", () => {});
  localStorage.setItem("webui-card-folders", "no JSON");
  other.show(FOLDERS, "", true);
  assert.equal(other.root.querySelectorAll("[role=treeitem]").length, 4);
});
