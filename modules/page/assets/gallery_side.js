// @ts-check
// Beside the gallery's pictures: what to look at. Each entry is a term of the search, which a click puts in or takes out.

/** @import { Counted, Facets, SavedSearch } from "./gallery_types.js" */

import { button, element } from "./dom.js";
import { SHOTS } from "./gallery_api.js";
import { signButton } from "./gallery_icons.js";
import { hasTerm, term } from "./gallery_query.js";
import { numberText } from "./gallery_text.js";

const FEW = 10; // entries of a part that are shown before "Show all"

/** @typedef {{
 *   toggle: (term: string, alone: boolean) => void,
 *   show: (q: string) => void,
 *   duplicates: () => void,
 *   dropped: (kind: Kind, entry: Counted, ids: string[]) => void,
 *   newBoard: () => void,
 *   renameBoard: (board: Counted) => void,
 *   deleteBoard: (board: Counted) => void,
 *   deleteSearch: (search: SavedSearch) => void,
 * }} Actions */
/** @typedef {"board" | "folder" | "model" | "tag"} Kind */

/** @type {[Kind, keyof Facets, string, boolean][]} kind, its list, its title, whether a picture has only one */
const PARTS = [
  ["board", "boards", "Boards", false],
  ["folder", "folders", "Folders", true],
  ["model", "models", "Models", true],
  ["tag", "tags", "Tags", false],
];

const DATE = /^(.*?)(\d{4}-\d{2}-\d{2})$/;

/**
 * Folders named for days stand with the newest first, at the place of the first of them; all others stay in their order.
 * @param {Counted[]} folders
 */
export function newestFirst(folders) {
  /** @type {Map<string, Counted[]>} */
  const groups = new Map();
  for (const folder of folders) {
    const before = DATE.exec(folder.name)?.[1];
    const group = before === undefined ? folder.name : `${before}\n`;
    groups.set(group, [...(groups.get(group) ?? []), folder]);
  }
  return [...groups.values()].flatMap((group) => group.sort((one, other) => (one.name < other.name ? 1 : -1)));
}

export class Side {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.query = "";
    this.duplicates = false;
    /** @type {Facets} */
    this.facets = { folders: [], models: [], tags: [], boards: [] };
    /** @type {Facets | null} all there are, while a picture is dragged: not only places that the search finds take it */
    this.places = null;
    /** @type {SavedSearch[]} */
    this.searches = [];
    /** @type {Set<Kind>} those that are shown whole */
    this.whole = new Set();
    /** @type {Set<Kind>} those that were folded */
    this.folded = new Set();
    this.root = element("nav", { className: "gallery-side", ariaLabel: "Gallery" });
    this.key = "";
  }

  /**
   * @param {{
   *   query?: string, duplicates?: boolean, facets?: Facets, places?: Facets | null, searches?: SavedSearch[]
   * }} change
   */
  show(change) {
    Object.assign(this, change);
    const key = JSON.stringify([this.query, this.duplicates, this.facets, this.places, this.searches, [...this.whole]]);
    if (key === this.key) return;
    this.key = key;
    this.draw();
  }

  draw() {
    const focused =
      this.root.contains(document.activeElement) && document.activeElement instanceof HTMLElement
        ? document.activeElement.dataset.entry
        : "";
    const views = element("ul", { className: "side-list" }, ...this.views());
    const facets = this.places ?? this.facets;
    const parts = PARTS.map(([kind, list, title, alone]) => this.part(kind, facets[list], title, alone));
    this.root.replaceChildren(views, ...this.savedSearches(), ...parts.filter((part) => part !== null));
    // Who walks through the entries by key stays where they were, though all are drawn anew.
    const again = focused && [...this.root.querySelectorAll("button")].find((one) => one.dataset.entry === focused);
    if (again) again.focus({ preventScroll: true });
  }

  views() {
    const trash = hasTerm(this.query, "in:trash");
    const all = !this.query.trim() && !this.duplicates;
    return [
      this.entry("all", "All pictures", null, all, () => this.actions.show("")),
      this.entry("favourites", "Favourites", null, hasTerm(this.query, "is:favourite"), () =>
        this.actions.toggle("is:favourite", true),
      ),
      this.entry("duplicates", "Duplicates", null, this.duplicates, () => this.actions.duplicates()),
      this.entry("trash", "Trash", null, trash, () => this.actions.show(trash ? "" : "in:trash")),
    ];
  }

  savedSearches() {
    if (!this.searches.length) return [];
    const entries = this.searches.map((search) => {
      const made = this.entry(
        `search ${search.id}`,
        search.name,
        null,
        this.query === search.q,
        () => this.actions.show(search.q),
        true,
      );
      made.append(
        signButton(
          "close",
          `Delete the saved search ${search.name}`,
          () => this.actions.deleteSearch(search),
          "side-tool",
        ),
      );
      return made;
    });
    return [element("h3", { textContent: "Saved searches" }), element("ul", { className: "side-list" }, ...entries)];
  }

  /**
   * @param {Kind} kind
   * @param {Counted[]} entries
   * @param {string} title
   * @param {boolean} alone
   */
  part(kind, entries, title, alone) {
    if (!entries.length && kind !== "board") return null;
    const own = (kind === "folder" ? newestFirst(entries) : entries).filter(
      (entry) => entry.count || kind === "board" || hasTerm(this.query, term(kind, entry.name)),
    );
    const shown = this.whole.has(kind)
      ? own
      : own.filter((entry, place) => place < FEW || hasTerm(this.query, term(kind, entry.name)));
    const list = element("ul", { className: "side-list" }, ...shown.map((entry) => this.facet(kind, entry, alone)));
    const part = element("details", { open: !this.folded.has(kind) }, element("summary", { textContent: title }), list);
    part.addEventListener("toggle", () => this.folded[part.open ? "delete" : "add"](kind));
    if (shown.length < own.length) {
      part.append(button("Show all", () => this.showAll(kind), { className: "side-more side-all" }));
    }
    if (kind === "board") part.append(button("New board", () => this.actions.newBoard(), { className: "side-more" }));
    return part;
  }

  /** @param {Kind} kind */
  showAll(kind) {
    this.whole.add(kind);
    this.show({});
  }

  /**
   * @param {Kind} kind
   * @param {Counted} entry
   * @param {boolean} alone
   */
  facet(kind, entry, alone) {
    const own = term(kind, entry.name);
    const made = this.entry(
      own,
      entry.name,
      entry.count,
      hasTerm(this.query, own),
      () => this.actions.toggle(own, alone),
      true,
    );
    if (kind === "board") {
      made.append(
        signButton("pen", `Rename the board ${entry.name}`, () => this.actions.renameBoard(entry), "side-tool"),
        signButton("close", `Delete the board ${entry.name}`, () => this.actions.deleteBoard(entry), "side-tool"),
      );
    }
    // The end of a path says more than its beginning.
    if (kind === "folder") made.querySelector(".side-name")?.classList.add("folder");
    if (kind !== "model") this.takesDrops(made, kind, entry);
    return made;
  }

  /**
   * @param {string} key by which the entry is found again
   * @param {string} name
   * @param {number | null} count
   * @param {boolean} pressed
   * @param {() => void} press
   * @param {boolean} foreign whether the name is a person's own
   */
  entry(key, name, count, pressed, press, foreign = false) {
    const words = element("bdi", { textContent: name });
    const label = element("span", { className: "side-name" }, words);
    const made = button("", press, { className: foreign ? "side-entry no-translate" : "side-entry" });
    made.append(label);
    if (count !== null) made.append(element("small", { className: "no-translate", textContent: numberText(count) }));
    if (foreign) made.title = name;
    made.dataset.entry = key;
    made.setAttribute("aria-pressed", String(pressed));
    return element("li", {}, made);
  }

  /**
   * @param {HTMLElement} place
   * @param {Kind} kind
   * @param {Counted} entry
   */
  takesDrops(place, kind, entry) {
    /** @param {DragEvent} event */
    const ours = (event) => event.dataTransfer?.types.includes(SHOTS) ?? false;
    place.addEventListener("dragover", (event) => {
      if (!ours(event) || !event.dataTransfer) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = kind === "folder" ? "move" : "copy";
      place.classList.add("over");
    });
    place.addEventListener("dragleave", () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      place.classList.remove("over");
      if (!ours(event) || !event.dataTransfer) return;
      event.preventDefault();
      event.stopPropagation();
      this.actions.dropped(kind, entry, JSON.parse(event.dataTransfer.getData(SHOTS)));
    });
  }
}
