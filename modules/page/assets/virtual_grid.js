// @ts-check
// A grid of which only what can be seen is on the page: a hundred thousand boxes cost no more than a screenful. What
// they show is fetched in stretches as they come into view, and forgotten when they are far away.

import { GAP, GridLayout } from "./grid_layout.js";
import { LongScroll, MOST_HIGH } from "./long_scroll.js";

const CHUNK = 60;
const MOST = 1800; // items that are remembered
const PAUSE = 60; // milliseconds between two looks for what is missing, while somebody scrolls
const AT_ONCE = 3; // requests

/** @template T what a box shows */
export class VirtualGrid {
  /**
   * @param {{ root: HTMLElement, list: HTMLElement, load: (offset: number, limit: number) => Promise<T[]> }} parts
   *   `root` scrolls, `list` in it holds the boxes
   */
  constructor({ root, list, load }) {
    this.root = root;
    this.list = list;
    this.load = load;
    this.total = 0;
    this.at = 0; // the box that Tab stops at
    this.generation = 0;
    /** @type {Map<number, T>} */
    this.items = new Map();
    /** @type {Map<number, Promise<void>>} by offset, the stretches that were fetched or are on their way */
    this.requested = new Map();
    this.loading = 0;
    this.timer = 0;
    /** @type {Map<number, HTMLElement>} */
    this.drawn = new Map();
    /** @type {number[]} how many belong together; none for one list without headings */
    this.groups = [];
    this.heading = 0;
    this.layout = new GridLayout({ total: 0, columns: 1, row: 1 });
    this.layoutKey = "";
    this.long = new LongScroll();
    root.addEventListener("scroll", () => this.scrolled(), { passive: true });
    list.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("focusin", (event) => this.focused(event));
    new ResizeObserver(() => this.draw()).observe(root);
  }

  /** How far the list is scrolled, in pixels. */
  get top() {
    return this.long.top;
  }

  /** @param {number} top */
  goTo(top) {
    this.long.go(top, (real) => {
      this.root.scrollTop = real;
      return this.root.scrollTop;
    });
    this.draw();
  }

  scrolled() {
    const top = this.long.moved(this.root.scrollTop);
    if (top === null) this.draw();
    else this.goTo(top);
  }

  /**
   * How the boxes are to be; null while nothing can be drawn.
   * @returns {{ columns: number, width: number, height: number } | null}
   */
  measure() {
    return null;
  }

  /**
   * The box of an item; null for none while its item is not there yet.
   * @param {number} _index
   * @param {T | undefined} _item
   * @returns {HTMLElement | null}
   */
  make(_index, _item) {
    return null;
  }

  /**
   * @param {HTMLElement} box
   * @param {boolean} stops whether Tab stops at it
   */
  stop(box, stops) {
    box.tabIndex = stops ? 0 : -1;
  }

  /** @param {HTMLElement} box */
  focusBox(box) {
    box.focus({ preventScroll: true });
  }

  // After the boxes, what else the list shows.
  drawMore() {}

  /**
   * Another list, of which the first items are known.
   * @param {number} total
   * @param {T[]} first
   * @param {boolean} stay where the person has scrolled to; what is on display is replaced when it has changed
   * @param {number[]} groups
   */
  show(total, first, stay, groups = []) {
    this.generation += 1;
    this.total = total;
    this.groups = groups;
    this.layoutKey = "";
    this.at = Math.min(stay ? this.at : 0, Math.max(0, total - 1));
    this.requested.clear();
    this.loading = 0;
    const focused = this.list.contains(document.activeElement);
    if (!stay) this.items.clear();
    for (const index of this.items.keys()) if (index >= total) this.items.delete(index);
    for (const [index, box] of this.drawn) if (!stay || index >= total) this.drop(index, box);
    if (!stay) this.goTo(0);
    this.put(0, first);
    if (first.length) this.requested.set(0, Promise.resolve());
    this.draw();
    for (const [index, box] of this.drawn) this.stop(box, index === this.at);
    if (focused && !this.list.contains(document.activeElement)) this.focus(this.at);
  }

  /**
   * @param {number} index
   * @param {HTMLElement} box
   */
  drop(index, box) {
    box.remove();
    this.drawn.delete(index);
  }

  /**
   * @param {number} offset
   * @param {T[]} items
   */
  put(offset, items) {
    items.forEach((item, place) => {
      const index = offset + place;
      const before = this.items.get(index);
      this.items.set(index, item);
      if (!this.drawn.has(index) || (before && JSON.stringify(before) === JSON.stringify(item))) return;
      this.replace(index);
    });
    this.position();
  }

  /**
   * An item has changed.
   * @param {number} index
   */
  remake(index) {
    this.replace(index);
    this.position();
  }

  /**
   * A box anew, without its place yet.
   * @param {number} index
   */
  replace(index) {
    const box = this.drawn.get(index);
    if (!box) return;
    const focused = box.contains(document.activeElement);
    this.drop(index, box);
    this.add(index, this.items.get(index));
    const again = this.drawn.get(index);
    if (focused && again) this.focusBox(again);
  }

  draw() {
    const size = this.root.clientWidth ? this.measure() : null;
    if (!size) return;
    this.size = size;
    const row = size.height + GAP;
    const key = [this.total, size.columns, row, this.heading, this.groups.length].join();
    if (key !== this.layoutKey) {
      const { total, groups, heading } = this;
      this.layout = new GridLayout({ total, columns: size.columns, row, groups, heading });
      this.layoutKey = key;
    }
    this.list.style.height = `${Math.min(this.layout.height, MOST_HIGH)}px`;
    this.long.resize(this.layout.height, this.root.clientHeight);
    const { first, last } = this.layout.range(this.top, this.root.clientHeight);
    for (const [index, box] of this.drawn) {
      const away = index < first || index >= last;
      if (away && !box.contains(document.activeElement)) this.drop(index, box);
    }
    let missing = false;
    for (let index = first; index < last; index += 1) {
      missing ||= !this.requested.has(this.stretch(index));
      if (!this.drawn.has(index)) this.add(index, this.items.get(index));
    }
    this.position();
    this.drawMore();
    this.forget(first, last);
    if (missing && !this.timer) this.timer = window.setTimeout(() => this.fetchSeen(), PAUSE);
  }

  position() {
    if (!this.size) return;
    const { width, height } = this.size;
    for (const [index, box] of this.drawn) {
      const { column, top } = this.layout.placeOf(index);
      box.style.width = `${width}px`;
      box.style.height = `${height}px`;
      box.style.transform = `translate(${column * (width + GAP)}px, ${top - this.long.shift}px)`;
    }
  }

  /** @param {number} index */
  stretch(index) {
    return Math.floor(index / CHUNK) * CHUNK;
  }

  // Only what is in view by now: whoever scrolls through thousands waits for none of those that flew by.
  fetchSeen() {
    this.timer = 0;
    const { first, last } = this.layout.range(this.top, this.root.clientHeight);
    for (let index = this.stretch(first); index < last && this.loading < AT_ONCE; index += CHUNK) this.request(index);
  }

  /**
   * Fetch the stretch of the list that an item is in.
   * @param {number} index
   */
  request(index) {
    const offset = this.stretch(index);
    const known = this.requested.get(offset);
    if (known) return known;
    const answer = this.fetchStretch(offset);
    this.requested.set(offset, answer);
    return answer;
  }

  /** @param {number} offset */
  async fetchStretch(offset) {
    const { generation } = this;
    this.loading += 1;
    const items = await this.load(offset, CHUNK).catch(() => null);
    if (generation !== this.generation) return;
    this.loading -= 1;
    if (!items) this.requested.delete(offset);
    else {
      this.put(offset, items);
      this.draw();
    }
  }

  /**
   * @param {number} first of those in view
   * @param {number} last
   */
  forget(first, last) {
    if (this.items.size <= MOST) return;
    const [low, high] = [this.stretch(first) - MOST / 3, this.stretch(last) + CHUNK + MOST / 3];
    for (const index of this.items.keys()) if (index < low || index >= high) this.items.delete(index);
    for (const offset of this.requested.keys()) if (offset < low || offset >= high) this.requested.delete(offset);
  }

  /**
   * The items from one to another, both included, fetched where they are not there.
   * @param {number} one
   * @param {number} other
   * @returns {Promise<T[]>}
   */
  async between(one, other) {
    const [first, last] = [Math.min(one, other), Math.max(one, other)];
    const items = [];
    for (let offset = this.stretch(first); offset <= last; offset += CHUNK) {
      const own = Array.from({ length: CHUNK }, (_, place) => this.items.get(offset + place));
      const wanted = own.slice(Math.max(0, first - offset), last - offset + 1);
      const whole = wanted.every((item, place) => item || Math.max(first, offset) + place >= this.total);
      const loaded = whole ? own : await this.load(offset, CHUNK);
      items.push(...loaded.slice(Math.max(0, first - offset), last - offset + 1));
    }
    return items.filter((item) => item !== undefined);
  }

  /**
   * @param {number} index
   * @param {T | undefined} item
   */
  add(index, item) {
    const made = this.make(index, item);
    if (!made) return;
    made.setAttribute("aria-setsize", String(this.total));
    made.setAttribute("aria-posinset", String(index + 1));
    made.dataset.index = String(index);
    this.stop(made, index === this.at);
    // In the order of the list, which is that of the Tab key.
    const behind = [...this.drawn.keys()].filter((other) => other > index);
    const next = behind.length ? this.drawn.get(Math.min(...behind)) : null;
    this.drawn.set(index, made);
    this.list.insertBefore(made, next ?? null);
  }

  /**
   * The place in the list of the box that an event happened in.
   * @param {Event} event
   * @returns {number | null}
   */
  indexOf(event) {
    const box = event.target instanceof Element ? event.target.closest("[data-index]") : null;
    return box instanceof HTMLElement && this.list.contains(box) ? Number(box.dataset.index) : null;
  }

  /** @param {FocusEvent} event */
  focused(event) {
    const index = this.indexOf(event);
    if (index !== null) this.stopAt(index);
  }

  /** @param {number} index */
  stopAt(index) {
    if (index === this.at) return;
    const before = this.drawn.get(this.at);
    if (before) this.stop(before, false);
    this.at = index;
    const box = this.drawn.get(index);
    if (box) this.stop(box, true);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.root.clientHeight / this.layout.row));
    const there = this.layout.moved(event.key, this.at, page);
    if (there === null) return;
    event.preventDefault();
    this.focus(there);
  }

  /** @param {number} index */
  scrollTo(index) {
    if (!this.size) return;
    const { top } = this.layout.placeOf(index);
    const { clientHeight } = this.root;
    if (top - this.layout.heading < this.top) this.goTo(top - this.layout.heading);
    else if (top + this.size.height > this.top + clientHeight) this.goTo(top + this.size.height - clientHeight);
  }

  /**
   * Bring a box into view and give it the focus, once it is there.
   * @param {number} index
   */
  async focus(index) {
    this.scrollTo(index);
    this.stopAt(index);
    this.draw();
    if (!this.drawn.has(index)) {
      await this.request(index);
      // Somebody who is faster than the answers is elsewhere by then.
      if (this.at !== index) return;
      this.draw();
    }
    const box = this.drawn.get(index);
    if (box) this.focusBox(box);
  }
}
