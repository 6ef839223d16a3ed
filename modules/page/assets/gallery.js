// @ts-check
// The Gallery tab: every picture there is, found, looked at, compared, sorted and thrown away. It costs nothing until
// it is opened first, and asks the server only while it can be seen.

/** @import { Day, Look, Shot, ShotPage, Sort } from "./gallery_types.js" */

import { formDialog } from "./dialog.js";
import { button, element, sentence } from "./dom.js";
import { Actions } from "./gallery_actions.js";
import * as api from "./gallery_api.js";
import { Compare } from "./gallery_compare.js";
import { Detail } from "./gallery_detail.js";
import { ShotGrid } from "./gallery_grid.js";
import { signButton } from "./gallery_icons.js";
import { hasField, hasTerm, toggledTerm } from "./gallery_query.js";
import { SearchBox } from "./gallery_search.js";
import { Selection } from "./gallery_selection.js";
import { SelectionBar } from "./gallery_selection_bar.js";
import { Side } from "./gallery_side.js";
import { dayText, numberText } from "./gallery_text.js";
import { Timeline } from "./gallery_timeline.js";
import { confirmed } from "./localization.js";
import { toast } from "./messages.js";

const STORE = "webui-gallery";
const LINGERS = 1500; // milliseconds that a timeline over the pictures stays when they stand still
const FIRST = 60; // pictures that are read with a search
const WATCHING = 8000; // until somebody who looks at the pictures sees what came or went meanwhile
const READING = 3000; // until the list is read again, while files are still being read
/** @type {[Sort, string][]} */
const SORTS = [
  ["newest", "Newest first"],
  ["oldest", "Oldest first"],
  ["name", "Name"],
  ["rating", "Rating"],
  ["size", "Size"],
];

/** The stacks that one of them was opened from, and where they were scrolled to. @typedef {{
 *   q: string, sort: Sort, top: number, at: number
 * }} Stacks */
/** Pictures that no search found: similar ones, duplicates. @typedef {{
 *   title: string, shots: Shot[], groups: { title: string, count: number }[], duplicates: boolean
 * }} Fixed */

/** @returns {Partial<Look & { side: number }>} */
function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

export class Gallery {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    const { sort = "newest", stack = false, days = true, side = 180 } = stored();
    /** @type {Look} */
    this.look = { q: "", sort, stack, days };
    /** @type {Fixed | null} */
    this.fixed = null;
    /** @type {Stacks | null} */
    this.stacks = null;
    /** @type {ShotPage | null} */
    this.page = null;
    /** @type {Day[]} */
    this.days = [];
    this.number = 0;
    this.timer = 0;
    this.moving = 0;
    /** @type {Promise<void>} */
    this.latest = Promise.resolve();
    this.selection = new Selection();
    this.actions = new Actions(this);
    this.grid = new ShotGrid(this.selection, {
      load: (offset, limit) => this.read(offset, limit),
      open: (index) => this.open(index),
      key: (event, shot) => this.key(event, shot),
      failed: (error) => toast(sentence(error)),
    });
    this.grid.side = side;
    this.search = new SearchBox({ changed: (q) => this.find(q), save: () => this.saveSearch() });
    this.side = new Side({
      toggle: (term, alone) => this.find(toggledTerm(this.fixed ? "" : this.look.q, term, { alone })),
      show: (q) => this.find(q),
      duplicates: () => this.showDuplicates(),
      dropped: (kind, entry, ids) => this.dropped(kind, entry, ids),
      newBoard: () => this.actions.newBoard(),
      renameBoard: (board) => this.actions.renameBoard(board),
      deleteBoard: (board) => this.actions.deleteBoard(board),
      deleteSearch: (search) => this.deleteSearch(search.id),
    });
    this.timeline = new Timeline((group) => {
      this.grid.goTo(this.grid.layout.tops[group] - this.grid.layout.heading);
    });
    this.bar = new SelectionBar(this.selection, this.actions, {
      shots: (ids) => this.shots(ids),
      compare: (ids) => this.compare(ids),
    });
    this.status = element("p", { role: "status", className: "gallery-status" });
    this.back = button("", () => (this.stacks ? this.closeStack(this.stacks) : this.find("")), {
      className: "text-button",
      hidden: true,
    });
    this.emptying = button("Empty trash", () => this.actions.emptyTrash(), { className: "text-button", hidden: true });
    this.detail = new Detail(this);
    this.build();
    root.addEventListener("keydown", (event) => event.key === "Escape" && this.selection.clear());
    this.grid.list.addEventListener("dragstart", () => this.offerPlaces());
    for (const over of ["dragend", "drop"]) document.addEventListener(over, () => this.side.show({ places: null }));
    this.grid.root.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.drawTimeline()).observe(this.grid.root);
    new IntersectionObserver(([seen]) => seen.isIntersecting && this.load({ stay: this.page !== null })).observe(root);
    document.addEventListener("webui-filled", () => this.root.offsetParent && this.load({ stay: true }));
  }

  build() {
    this.sort = element("select", { ariaLabel: "Sort by" }, ...SORTS.map(([name, text]) => new Option(text, name)));
    this.sort.value = this.look.sort;
    const { sort } = this;
    sort.addEventListener("change", () => this.choose({ sort: /** @type {Sort} */ (sort.value) }));
    const size = element("input", {
      type: "range",
      min: "90",
      max: "420",
      step: "10",
      value: String(this.grid.side),
      ariaLabel: "Size of the pictures",
      title: "Size of the pictures",
    });
    size.addEventListener("input", () => this.resize(Number(size.value)));
    const filter = signButton(
      "filter",
      "Folders, boards and tags",
      () => {
        const open = this.root.classList.toggle("side-open");
        filter.setAttribute("aria-expanded", String(open));
      },
      "gallery-filter",
    );
    filter.setAttribute("aria-expanded", "false");
    this.dayCheck = this.check("By day", this.look.days, (days) => this.choose({ days }));
    this.stackCheck = this.check(
      "Stack",
      this.look.stack,
      (stack) => this.choose({ stack }),
      "Pictures that differ in their seed alone lie in one stack",
    );
    this.root.replaceChildren(
      element(
        "div",
        { className: "gallery-bar" },
        filter,
        this.search.root,
        sort,
        this.dayCheck.label,
        this.stackCheck.label,
      ),
      element("div", { className: "gallery-said" }, this.status, this.back, this.emptying, size),
      this.bar.root,
      element("div", { className: "gallery-body" }, this.side.root, this.grid.root, this.timeline.root),
    );
  }

  /**
   * @param {string} text
   * @param {boolean} checked
   * @param {(checked: boolean) => void} change
   */
  check(text, checked, change, title = "") {
    const box = element("input", { type: "checkbox", checked });
    box.addEventListener("change", () => change(box.checked));
    const label = element("label", { className: "gallery-check", title }, box, element("span", { textContent: text }));
    return { box, label };
  }

  /** @param {number} side in pixels */
  resize(side) {
    const first = this.grid.layout.rowAt(this.grid.top).first;
    this.grid.side = side;
    this.grid.draw();
    // What is seen first stays so.
    if (this.grid.total) this.grid.goTo(this.grid.layout.placeOf(first).top - this.grid.layout.heading);
    this.store();
    this.drawTimeline();
  }

  store() {
    const { sort, stack, days } = this.look;
    localStorage.setItem(STORE, JSON.stringify({ sort, stack, days, side: this.grid.side }));
  }

  /** @param {Partial<Look>} change */
  choose(change) {
    this.look = { ...this.look, ...change };
    this.stacks = null;
    this.store();
    return this.load({ stay: false });
  }

  /**
   * Show what a search finds.
   * @param {string} q
   */
  find(q) {
    this.fixed = null;
    this.root.classList.remove("side-open");
    this.search.set(q);
    this.side.show({ query: q, duplicates: false });
    return this.choose({ q });
  }

  /**
   * @param {number} offset
   * @param {number} limit
   */
  async read(offset, limit) {
    if (this.fixed) return this.fixed.shots.slice(offset, offset + limit);
    return (await api.pictures(this.look, offset, limit)).pictures;
  }

  /** Whether days can be headings: the list is in their order, and each picture is on its own. */
  get hasDays() {
    const { q, sort, stack } = this.look;
    // What is searched by meaning comes the nearest first.
    if (sort === "newest" && hasField(q, "like")) return false;
    return !stack && (sort === "newest" || sort === "oldest");
  }

  /**
   * Ends when the newest list is there, also where another reading began in between: a tab that comes into view begins one.
   * @param {{ stay: boolean }} how
   * @returns {Promise<void>}
   */
  load(how) {
    /** @type {Promise<void>} */
    const own = this.loadNow(how).then(() => (this.latest === own ? undefined : this.latest));
    this.latest = own;
    return own;
  }

  /** @param {{ stay: boolean }} how */
  async loadNow({ stay }) {
    clearTimeout(this.timer);
    this.number += 1;
    const { number, look, fixed } = this;
    if (fixed) return this.showFixed(fixed, stay);
    try {
      const [page, days] = await Promise.all([
        api.pictures(look, 0, FIRST),
        this.hasDays && look.days ? api.timeline(look.q) : [],
      ]);
      // A slow answer must not overwrite that to what was typed since.
      if (number !== this.number) return;
      this.show(page, days, stay);
      this.loadSide(number);
    } catch (error) {
      if (number === this.number) this.status.textContent = sentence(error);
    }
  }

  /** @param {number} number of the search that it belongs to */
  async loadSide(number) {
    try {
      const [facets, searches] = await Promise.all([api.facets(this.look.q), api.searches()]);
      if (number === this.number) this.side.show({ facets, searches, query: this.look.q });
    } catch (error) {
      toast(sentence(error));
    }
  }

  /**
   * @param {ShotPage} page
   * @param {Day[]} days
   * @param {boolean} stay
   */
  show(page, days, stay) {
    this.page = page;
    this.days = this.look.sort === "oldest" ? [...days].reverse() : days;
    const groups = this.days.map(({ day, count }) => ({ title: dayText(day), count }));
    this.grid.showShots(page.total, page.pictures, { stay, groups });
    this.describe(page);
    this.drawTimeline();
    const trash = hasTerm(this.look.q, "in:trash");
    this.bar.inTrash = trash;
    this.bar.draw();
    this.drawBack();
    if (this.dayCheck) this.dayCheck.box.disabled = !this.hasDays;
    this.emptying.hidden = !trash || !page.total;
    this.watch(page);
  }

  /**
   * Look again after a while: pictures come and go without this page, and files may still be read.
   * @param {ShotPage} page that is shown
   */
  watch(page) {
    clearTimeout(this.timer);
    const { running } = page.indexing;
    this.timer = window.setTimeout(() => this.lookAgain(page), running ? READING : WATCHING);
  }

  /** @param {ShotPage} page */
  async lookAgain(page) {
    // What cannot be seen is read when it comes into view.
    if (!this.root.offsetParent) return;
    if (document.hidden || this.fixed) return this.watch(page);
    if (page.indexing.running) return this.load({ stay: true });
    const { number } = this;
    const now = await api.pictures(this.look, 0, FIRST).catch(() => page);
    if (number !== this.number) return;
    /** @param {ShotPage} one */
    const seen = ({ total, pictures, indexing }) => JSON.stringify([total, pictures, indexing.running]);
    if (seen(now) === seen(page)) this.watch(page);
    else await this.load({ stay: true });
  }

  /** @param {ShotPage} page */
  describe({ total, explained, indexing }) {
    const found = total === 1 ? "1 picture" : `${numberText(total)} pictures`;
    const searched = this.look.q.trim() !== "";
    const nothing = searched
      ? "No picture fits this search."
      : "There is no picture yet: what is generated appears here.";
    const parts = [total ? found : nothing];
    // Sentence by sentence, as they are translated.
    if (explained) parts.push(...explained.split(/(?<=[.?]) /));
    if (indexing.running)
      parts.push(`${numberText(indexing.done)} of ${numberText(indexing.total)} files are read so far.`);
    this.status.replaceChildren(
      ...parts.flatMap((text, place) => [place ? " · " : "", element("span", { textContent: text })]),
    );
  }

  scrolled() {
    this.drawTimeline();
    // Where there is no room beside the pictures the timeline is shown while they move, and a moment longer.
    this.root.classList.add("moving");
    clearTimeout(this.moving);
    this.moving = window.setTimeout(() => this.root.classList.remove("moving"), LINGERS);
  }

  // What leads out of a stack, or from pictures that no search found.
  drawBack() {
    this.back.hidden = !this.fixed && !this.stacks;
    this.back.textContent = this.stacks ? "Back to the stacks" : "Back to all pictures";
  }

  drawTimeline() {
    const { grid } = this;
    const days = this.fixed ? [] : this.days.map(({ day }) => day).slice(0, grid.layout.tops.length);
    this.timeline.draw(days, grid.layout.tops, grid.layout.height, grid.layout.groupsIn(grid.top, 1).first);
  }

  /**
   * @param {Fixed} fixed
   * @param {boolean} stay
   */
  showFixed(fixed, stay) {
    this.grid.showShots(fixed.shots.length, fixed.shots.slice(0, FIRST), { stay, groups: fixed.groups });
    this.status.replaceChildren(element("span", { textContent: fixed.title }));
    this.drawBack();
    this.emptying.hidden = true;
    this.side.show({ duplicates: fixed.duplicates });
    this.drawTimeline();
  }

  /** @param {Fixed} fixed */
  fix(fixed) {
    this.fixed = fixed;
    this.stacks = null;
    this.selection.clear();
    this.search.set("");
    this.look = { ...this.look, q: "" };
    this.side.show({ query: "" });
    return this.load({ stay: false });
  }

  async showDuplicates() {
    try {
      const groups = await api.duplicates();
      const title = groups.length ? "Pictures that are there more than once" : "No picture is there more than once.";
      const named = groups.map((group) => ({ title: `${group.length} × ${group[0].name}`, count: group.length }));
      await this.fix({ title, shots: groups.flat(), groups: named, duplicates: true });
    } catch (error) {
      toast(sentence(error));
    }
  }

  /**
   * @param {Shot} shot
   * @param {"look" | "meaning"} by
   */
  async showSimilar(shot, by) {
    try {
      const shots = await api.similar(shot.id, by);
      const title = by === "look" ? `Pictures like ${shot.name}` : `Pictures that show the same as ${shot.name}`;
      await this.fix({ title, shots: [shot, ...shots], groups: [], duplicates: false });
    } catch (error) {
      toast(sentence(error));
    }
  }

  /** @param {number} index */
  open(index) {
    const shot = this.grid.items.get(index);
    if (!shot) return;
    if (shot.stack > 1) this.openStack(shot);
    else this.detail.open(index);
  }

  /** @param {Shot} shot */
  async openStack(shot) {
    const { q, sort } = this.look;
    const stacks = { q, sort, top: this.grid.top, at: this.grid.at };
    this.setStack(false);
    const found = this.find(`stack:${shot.stack_key}`);
    this.stacks = stacks;
    await found;
    // The stack that had the focus is gone, its first picture has it now.
    this.grid.focus(0);
  }

  /** @param {Stacks} stacks to go back to, as they were left */
  async closeStack({ q, sort, top, at }) {
    if (this.sort) this.sort.value = sort;
    this.look = { ...this.look, sort };
    this.setStack(true);
    await this.find(q);
    this.grid.goTo(top);
    this.grid.focus(Math.min(at, this.grid.total - 1));
  }

  /** @param {boolean} stack */
  setStack(stack) {
    if (this.stackCheck) this.stackCheck.box.checked = stack;
    this.look = { ...this.look, stack };
  }

  /** @param {string[]} ids */
  compare(ids) {
    if (ids.length < 2 || ids.length > 4) return toast("Select two to four pictures to compare them.", "info");
    new Compare(ids).open();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Shot | undefined} shot that has the focus
   * @returns {boolean} whether the key meant something
   */
  key(event, shot) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const ids = this.selection.meant(shot?.id);
    if (!ids.length) return false;
    if (event.key === "Delete") this.actions.remove(ids);
    else if (event.key.toLowerCase() === "f") this.actions.favourite(ids);
    else if (event.key.toLowerCase() === "c") this.compare(ids);
    else if (/^[0-5]$/.test(event.key)) this.actions.rate(ids, Number(event.key));
    else return false;
    return true;
  }

  async offerPlaces() {
    const places = await api.facets("").catch(() => null);
    this.side.show({ places });
  }

  /**
   * @param {"board" | "folder" | "model" | "tag"} kind
   * @param {{ id?: string, name: string }} entry
   * @param {string[]} ids
   */
  dropped(kind, { id = "", name }, ids) {
    if (kind === "board") return this.actions.attempt(() => this.actions.putOnBoard(id, ids));
    if (kind === "folder") return this.actions.attempt(() => this.actions.relocate("move", ids, id));
    return this.actions.attempt(async () => {
      await this.actions.mark(ids, { add_tags: [name] });
      await this.reload();
    });
  }

  saveSearch() {
    const q = this.search.value.trim();
    if (!q) return;
    const input = element("input", { name: "name", autocomplete: "off", value: q });
    formDialog(
      "Save this search",
      "Save",
      [element("label", {}, element("span", { textContent: "Name" }), input)],
      async () => {
        await api.saveSearch(input.value.trim() || q, q);
        await this.reload();
      },
    );
  }

  /** @param {string} id */
  deleteSearch(id) {
    if (!confirmed("Delete this saved search?")) return;
    return this.actions.attempt(async () => {
      await api.deleteSearch(id);
      await this.reload();
    });
  }

  /**
   * Those of the pictures that are known here.
   * @param {string[]} ids
   */
  shots(ids) {
    const wanted = new Set(ids);
    return [...this.grid.items.values()].filter(({ id }) => wanted.has(id));
  }

  /**
   * @param {string[]} ids
   * @param {(shot: Shot) => Partial<Shot>} change
   */
  patch(ids, change) {
    const wanted = new Set(ids);
    for (const [index, shot] of this.grid.items) {
      if (!wanted.has(shot.id)) continue;
      Object.assign(shot, change(shot));
      this.grid.remake(index);
    }
    this.detail.changed();
  }

  /**
   * Pictures are not in this list any more.
   * @param {string[]} ids
   */
  gone(ids) {
    this.selection.remove(ids);
    if (!this.fixed) return;
    const away = new Set(ids);
    this.fixed.shots = this.fixed.shots.filter(({ id }) => !away.has(id));
    this.fixed.groups = [];
  }

  // The button that was pressed last may be gone, and the keys would mean nothing.
  takeFocus() {
    const { activeElement } = document;
    if (activeElement && activeElement !== document.body) return;
    if (this.detail.dialog?.open) this.detail.stage?.focus();
    else if (this.grid.total) this.grid.focus(this.grid.at);
  }

  reload() {
    return this.load({ stay: true });
  }
}
