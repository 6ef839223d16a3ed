// @ts-check
// The gallery's pictures: a list of which one or many can be selected, by keys, mouse and fingers.

/** @import { Shot } from "./gallery_types.js" */

import { element } from "./dom.js";
import { fileOf, SHOTS, thumbnailOf } from "./gallery_api.js";
import { icon } from "./gallery_icons.js";
import { momentText } from "./gallery_text.js";
import { columnsIn } from "./grid_layout.js";
import { VirtualGrid } from "./virtual_grid.js";

const HEADING = 40;
const LONG_PRESS = 450; // milliseconds until a finger selects
const STILL = 10; // pixels that a finger may move in that time
const MOST_IN_RANGE = 5000;

/** @typedef {{
 *   load: (offset: number, limit: number) => Promise<Shot[]>,
 *   open: (index: number) => void,
 *   key: (event: KeyboardEvent, shot: Shot | undefined) => boolean,
 *   failed: (error: unknown) => void,
 * }} Actions */
/** @import { Selection } from "./gallery_selection.js" */

/** @extends {VirtualGrid<Shot>} */
export class ShotGrid extends VirtualGrid {
  /**
   * @param {Selection} selection
   * @param {Actions} actions
   */
  constructor(selection, actions) {
    const list = element("div", { className: "shot-list", role: "listbox", ariaLabel: "Pictures" });
    list.setAttribute("aria-multiselectable", "true");
    const headings = element("div", { className: "shot-headings", ariaHidden: "true" });
    const root = element(
      "div",
      { className: "shot-scroller" },
      element("div", { className: "shot-canvas" }, headings, list),
    );
    super({ root, list, load: actions.load });
    this.actions = actions;
    this.selection = selection;
    this.side = 180; // what a picture's box should measure, in pixels
    this.headings = headings;
    /** @type {string[]} */
    this.titles = [];
    /** @type {Map<number, HTMLElement>} */
    this.titled = new Map();
    this.touched = false; // a long press was an answer already: the click behind it is none
    selection.addEventListener("change", () => this.drawSelection());
    list.addEventListener("click", (event) => this.clicked(event));
    list.addEventListener("pointerdown", (event) => this.pressed(event));
    list.addEventListener("contextmenu", (event) => this.touched && event.preventDefault());
    list.addEventListener("dragstart", (event) => this.dragged(event));
  }

  /**
   * @param {number} total
   * @param {Shot[]} first
   * @param {{ stay: boolean, groups?: { title: string, count: number }[] }} how
   */
  showShots(total, first, { stay, groups = [] }) {
    this.titles = groups.map(({ title }) => title);
    for (const one of this.titled.values()) one.remove();
    this.titled.clear();
    this.heading = groups.length ? HEADING : 0;
    this.show(
      total,
      first,
      stay,
      groups.map(({ count }) => count),
    );
    // A list without an entry is none to a screen reader.
    this.list.hidden = !total;
  }

  measure() {
    const room = this.root.clientWidth;
    const { columns, width } = columnsIn(room, Math.min(this.side, room < 480 ? this.side * 0.55 : this.side));
    return { columns, width, height: width };
  }

  /**
   * @param {number} _index
   * @param {Shot | undefined} shot
   */
  make(_index, shot) {
    if (!shot)
      return element("div", {
        className: "shot waiting",
        role: "option",
        ariaSelected: "false",
        ariaLabel: "Loading…",
      });
    const image = element("img", {
      alt: "",
      decoding: "async",
      draggable: false,
      src: thumbnailOf(shot, (this.size?.width ?? 0) > 300 ? 512 : 256),
    });
    image.addEventListener("error", () => box.classList.add("gone"));
    const box = element("div", { className: "shot", role: "option" }, image, ...signs(shot), spoken(shot));
    box.dataset.id = shot.id;
    box.title = shot.name;
    box.setAttribute("aria-selected", String(this.selection.has(shot.id)));
    return box;
  }

  /**
   * @param {number} index
   * @param {HTMLElement} box
   */
  drop(index, box) {
    const image = box.querySelector("img");
    // Else the browser fetches all that flew by before what is in view.
    if (image && !image.complete) image.removeAttribute("src");
    super.drop(index, box);
  }

  drawSelection() {
    this.root.classList.toggle("selecting", this.selection.size > 0);
    for (const box of this.drawn.values()) {
      if (box.dataset.id) box.setAttribute("aria-selected", String(this.selection.has(box.dataset.id)));
    }
  }

  drawMore() {
    if (!this.titles.length) return;
    const { first, last } = this.layout.groupsIn(this.top, this.root.clientHeight);
    for (const [group, one] of this.titled) {
      if (group >= first && group < last) continue;
      one.remove();
      this.titled.delete(group);
    }
    for (let group = first; group < last; group += 1) {
      if (!this.titles[group]) continue;
      const made =
        this.titled.get(group) ??
        element("div", { className: "shot-heading no-translate", textContent: this.titles[group] });
      made.style.transform = `translateY(${this.layout.tops[group] - HEADING - this.long.shift}px)`;
      if (this.titled.has(group)) continue;
      this.titled.set(group, made);
      this.headings.append(made);
    }
  }

  /** The picture that has the focus, or had it last. */
  current() {
    return this.items.get(this.at);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  async selectRange(from, to) {
    if (Math.abs(to - from) >= MOST_IN_RANGE) {
      return this.actions.failed(`At most ${MOST_IN_RANGE} pictures are selected at once.`);
    }
    try {
      const shots = await this.between(from, to);
      this.selection.add(shots.map(({ id }) => id));
      this.selection.anchor = from;
    } catch (error) {
      this.actions.failed(error);
    }
  }

  /** @param {number} index */
  toggle(index) {
    const shot = this.items.get(index);
    if (shot) this.selection.toggle(shot.id, index);
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const index = this.indexOf(event);
    if (index === null) return;
    if (this.touched) {
      this.touched = false;
      return;
    }
    const onCheck = event.target instanceof Element && event.target.closest(".shot-check");
    if (event.shiftKey) this.selectRange(this.selection.anchor ?? this.at, index);
    else if (event.ctrlKey || event.metaKey || onCheck || this.selection.size) this.toggle(index);
    else this.actions.open(index);
    this.stopAt(index);
  }

  /** @param {PointerEvent} event */
  pressed(event) {
    this.touched = false;
    const index = this.indexOf(event);
    const box = index === null ? null : this.drawn.get(index);
    if (index === null || !box) return;
    // A finger that stays selects; it would drag where the browser knows that.
    box.draggable = event.pointerType === "mouse";
    if (event.shiftKey) event.preventDefault();
    if (event.pointerType !== "touch") return;
    const timer = setTimeout(() => {
      this.touched = true;
      this.toggle(index);
      navigator.vibrate?.(10);
    }, LONG_PRESS);
    const until = new AbortController();
    const stop = () => {
      clearTimeout(timer);
      until.abort();
    };
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, stop, { signal: until.signal });
    this.root.addEventListener("scroll", stop, { signal: until.signal });
    window.addEventListener(
      "pointermove",
      (moved) => {
        if (Math.hypot(moved.clientX - event.clientX, moved.clientY - event.clientY) > STILL) stop();
      },
      { signal: until.signal },
    );
  }

  /** @param {DragEvent} event */
  dragged(event) {
    const index = this.indexOf(event);
    const shot = index === null ? undefined : this.items.get(index);
    if (!shot || !event.dataTransfer) return;
    const ids = this.selection.has(shot.id)
      ? [shot.id, ...this.selection.meant(undefined).filter((id) => id !== shot.id)]
      : [shot.id];
    event.dataTransfer.effectAllowed = "copyMove";
    event.dataTransfer.setData(SHOTS, JSON.stringify(ids));
    event.dataTransfer.setData("text/uri-list", ids.map((id) => fileOf(id)).join("\r\n"));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const index = this.at;
    if (event.key === " ") {
      event.preventDefault();
      return this.toggle(index);
    }
    if (event.key === "Enter") {
      event.preventDefault();
      return this.actions.open(index);
    }
    if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      return this.selectRange(0, this.total - 1);
    }
    if (this.actions.key(event, this.current())) return event.preventDefault();
    if (event.shiftKey) this.selection.anchor ??= index;
    super.key(event);
    if (event.shiftKey && event.defaultPrevented && this.selection.anchor !== null) {
      this.selectRange(this.selection.anchor, this.at);
    }
  }
}

/**
 * What is drawn over a picture.
 * @param {Shot} shot
 */
function signs({ favourite, rating, stack }) {
  const check = element("span", { className: "shot-check", ariaHidden: "true" }, icon("check", 16));
  const made = [check];
  if (favourite || rating) {
    const marks = element("span", { className: "shot-marks", ariaHidden: "true" });
    if (favourite) marks.append(icon("heart", 15));
    if (rating) marks.append(icon("star", 15), String(rating));
    made.push(marks);
  }
  if (stack > 1)
    made.push(
      element("span", { className: "shot-stack no-translate", ariaHidden: "true" }, icon("stack", 15), String(stack)),
    );
  return made;
}

/**
 * What a screen reader says of a picture.
 * @param {Shot} shot
 */
function spoken({ name, width, height, created, favourite, rating, stack, tags }) {
  const parts = [
    favourite ? "Favourite" : "",
    rating ? `Rated ${rating} of 5` : "",
    stack > 1 ? `Stack of ${stack} pictures` : "",
  ];
  const own = element("span", {
    className: "no-translate",
    textContent: [name, `${width} × ${height}`, momentText(created), ...tags].join(", "),
  });
  const more = parts.filter(Boolean).flatMap((part) => [", ", element("span", { textContent: part })]);
  return element("span", { className: "spoken" }, own, ...more);
}
