// @ts-check
// The folders of cards to choose one from: buttons side by side, or a tree whose folders open and close.

/** @import { CardKind } from "./types.js" */

import { all, button, element } from "./dom.js";

const STORE = "webui-card-folders";

/** A folder that the tree shows; `path` ends in "/" and is empty for all cards. @typedef {{
 *   path: string, name: string, depth: number, parent: boolean, open: boolean
 * }} Row */

/** @param {string} path of a folder: `a/b/` lies in `a/`, and `a/` in the top, which is empty */
const above = (path) => path.slice(0, path.lastIndexOf("/", path.length - 2) + 1);

/**
 * The rows of the tree: each folder before those in it, and none that lies in a closed one.
 * @param {string[]} folders each with those above it
 * @param {Set<string>} open
 * @returns {Row[]}
 */
export function rowsOf(folders, open) {
  /** @type {Map<string, string[]>} */
  const inside = new Map();
  for (const folder of folders) inside.set(above(folder), [...(inside.get(above(folder)) ?? []), folder]);
  /** @type {(path: string, depth: number) => Row[]} */
  const below = (path, depth) =>
    (inside.get(path) ?? []).flatMap((folder) => {
      const parent = inside.has(folder);
      const shown = parent && open.has(folder);
      const name = folder.slice(path.length, -1);
      return [{ path: folder, name, depth, parent, open: shown }, ...(shown ? below(folder, depth + 1) : [])];
    });
  return [{ path: "", name: "all", depth: 0, parent: false, open: false }, ...below("", 0)];
}

/** @returns {Record<string, string[]>} the open folders of each kind of cards */
function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

export class CardFolders {
  /**
   * @param {CardKind} kind
   * @param {(folder: string) => void} choose
   */
  constructor(kind, choose) {
    this.kind = kind;
    this.choose = choose;
    /** @type {string[]} */
    this.folders = [];
    this.chosen = "";
    this.tree = false;
    this.drawn = "";
    this.at = ""; // the folder that Tab stops at
    this.root = element("nav", { className: "card-folders", ariaLabel: "Folders" });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  /**
   * @param {string[]} folders
   * @param {string} chosen
   * @param {boolean} tree
   */
  show(folders, chosen, tree) {
    Object.assign(this, { folders, chosen, tree });
    this.root.hidden = !folders.length;
    this.draw();
  }

  draw() {
    const open = new Set(stored()[this.kind]);
    const drawn = [this.tree, this.tree && [...open], this.chosen, this.at, ...this.folders].join("\n");
    // The list is read again and again while files are being read: buttons in use stay.
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focused = this.root.contains(document.activeElement);
    if (this.tree) this.drawTree(rowsOf(this.folders, open));
    else this.root.replaceChildren(...["", ...this.folders].map((path) => this.plain(path)));
    if (focused)
      all(this.root, "button")
        .find((one) => one.dataset.folder === (this.tree ? this.at : this.chosen))
        ?.focus();
  }

  /** @param {string} path */
  plain(path) {
    const made = this.made(path, path || "all");
    made.setAttribute("aria-pressed", String(path === this.chosen));
    return made;
  }

  /** @param {Row[]} rows */
  drawTree(rows) {
    if (!rows.some(({ path }) => path === this.at)) this.at = "";
    const tree = element("div", { ariaLabel: "Folders" });
    tree.setAttribute("role", "tree");
    tree.append(...rows.map((row) => this.row(row)));
    this.root.replaceChildren(tree);
  }

  /** @param {Row} row */
  row({ path, name, depth, parent, open }) {
    const made = this.made(path, name);
    const fold = element("span", { className: "card-fold" });
    fold.setAttribute("aria-hidden", "true");
    fold.addEventListener("click", (event) => {
      if (!parent) return;
      event.stopPropagation();
      this.at = path;
      this.fold(path, !open);
    });
    made.prepend(fold);
    made.tabIndex = path === this.at ? 0 : -1;
    made.setAttribute("role", "treeitem");
    made.setAttribute("aria-level", String(depth + 1));
    made.setAttribute("aria-selected", String(path === this.chosen));
    if (parent) made.setAttribute("aria-expanded", String(open));
    made.style.setProperty("--depth", String(depth));
    return made;
  }

  /**
   * @param {string} path
   * @param {string} text
   */
  made(path, text) {
    const made = button("", () => {
      this.at = path;
      this.choose(path);
    });
    made.append(element("span", { textContent: text }));
    made.classList.toggle("no-translate", path !== "");
    made.dataset.folder = path;
    return made;
  }

  /**
   * Open or close a folder; where the chosen one disappears by that, the closed one is chosen.
   * @param {string} path
   * @param {boolean} open
   */
  fold(path, open) {
    const every = stored();
    const others = (every[this.kind] ?? []).filter((one) => one !== path);
    localStorage.setItem(STORE, JSON.stringify({ ...every, [this.kind]: open ? [...others, path] : others }));
    this.draw();
    if (!open && this.chosen.startsWith(path) && this.chosen !== path) this.choose(path);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const rows = this.tree ? rowsOf(this.folders, new Set(stored()[this.kind])) : [];
    const place = rows.findIndex(({ path }) => path === this.at);
    const row = rows[place];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const { path, parent, open } = row;
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowDown: () => this.move(rows[place + 1]),
      ArrowUp: () => this.move(rows[place - 1]),
      Home: () => this.move(rows[0]),
      End: () => this.move(rows.at(-1)),
      ArrowRight: () => (open ? this.move(rows[place + 1]) : parent && this.fold(path, true)),
      ArrowLeft: () =>
        open ? this.fold(path, false) : this.move(rows.find((one) => one.path && one.path === above(path))),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  /** @param {Row | undefined} row */
  move(row) {
    if (!row) return;
    this.at = row.path;
    this.draw();
  }
}
