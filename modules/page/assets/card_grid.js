// @ts-check
// Cards in a grid of which only what can be seen is on the page: thousands of them cost no more than a screenful.

/** @import { Card, CardLook } from "./types.js" */

import { url } from "./client.js";
import { all, button, element, find, within } from "./dom.js";

const GAP = 10;
const WIDTH = 160;
const HEIGHT = 224;
const ROWS_AROUND = 2; // drawn above and below what is seen, so that scrolling finds them there
const CHUNK = 60;

/** What happens when somebody uses a card. @typedef {{
 *   load: (offset: number, limit: number) => Promise<Card[]>,
 *   pressed: (card: Card) => boolean,
 *   click: (card: Card) => void,
 *   copy: (card: Card) => void,
 *   metadata: (card: Card) => void,
 *   edit: (card: Card) => void,
 * }} Actions */

/**
 * How many cards stand side by side, and how wide each is then.
 * @param {number} room in pixels
 * @param {number} width that a card should have
 */
export function columnsIn(room, width) {
  const columns = Math.max(1, Math.floor((room + GAP) / (width + GAP)));
  return { columns, width: Math.min(width * 1.6, (room - (columns - 1) * GAP) / columns) };
}

/**
 * The first and the last of the cards to draw.
 * @param {{ top: number, height: number, row: number, columns: number, total: number }} view `top` is how far it is
 *   scrolled, `height` what is seen, `row` the height of a row, all in pixels
 */
export function drawnRange({ top, height, row, columns, total }) {
  const first = Math.max(0, Math.floor(top / row) - ROWS_AROUND) * columns;
  const last = (Math.ceil((top + height) / row) + ROWS_AROUND) * columns;
  return { first: Math.min(first, total), last: Math.min(last, total) };
}

/** @type {Record<string, (columns: number) => number>} */
const MOVES = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: (columns) => -columns,
  ArrowDown: (columns) => columns,
  Home: () => Number.NEGATIVE_INFINITY,
  End: () => Number.POSITIVE_INFINITY,
};

export class CardGrid {
  /**
   * @param {string} label
   * @param {Actions} actions
   */
  constructor(label, actions) {
    this.actions = actions;
    this.total = 0;
    this.columns = 1;
    this.at = 0; // the card that Tab stops at
    this.generation = 0;
    /** @type {Map<number, Card>} */
    this.cards = new Map();
    /** @type {Set<number>} */
    this.requested = new Set();
    /** @type {Map<number, HTMLElement>} */
    this.drawn = new Map();
    /** @type {CardLook | null} */
    this.look = null;
    this.list = element("div", { className: "card-list", role: "list", ariaLabel: label });
    this.root = element("div", { className: "card-scroller" }, this.list);
    this.root.addEventListener("scroll", () => this.draw(), { passive: true });
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("focusin", (event) => this.focused(event));
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  /**
   * Another list, of which the first cards are known.
   * @param {number} total
   * @param {Card[]} first
   * @param {CardLook} look
   * @param {boolean} stay where the person has scrolled to
   */
  show(total, first, look, stay) {
    this.generation += 1;
    this.total = total;
    this.look = look;
    this.at = Math.min(stay ? this.at : 0, Math.max(0, total - 1));
    this.cards = new Map(first.map((card, index) => [index, card]));
    this.requested.clear();
    const focused = this.list.contains(document.activeElement);
    this.list.replaceChildren();
    this.drawn.clear();
    if (!stay) this.root.scrollTop = 0;
    this.draw();
    if (focused) this.focus(this.at);
  }

  size() {
    const look = this.look;
    const room = this.list.clientWidth; // without the padding around it, where a card would be cut off
    const { columns, width } = columnsIn(room, look?.width || (room < 480 ? WIDTH * 0.8 : WIDTH));
    return {
      columns,
      width: look?.width ? Math.min(look.width, room) : width,
      height: look?.height || HEIGHT,
    };
  }

  draw() {
    if (!this.look || !this.root.clientWidth) return;
    const { columns, width, height } = this.size();
    const row = height + GAP;
    this.columns = columns;
    this.list.style.height = `${Math.max(0, Math.ceil(this.total / columns) * row - GAP)}px`;
    this.list.style.setProperty("--card-scale", String(this.look.scale));
    const view = { top: this.root.scrollTop, height: this.root.clientHeight, row, columns, total: this.total };
    const { first, last } = drawnRange(view);
    for (const [index, card] of this.drawn) {
      const away = index < first || index >= last;
      if (away && !card.contains(document.activeElement)) {
        card.remove();
        this.drawn.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      const card = this.cards.get(index);
      if (!card) this.request(index);
      else if (!this.drawn.has(index)) this.add(index, card);
    }
    for (const [index, card] of this.drawn) {
      card.style.width = `${width}px`;
      card.style.height = `${height}px`;
      card.style.transform = `translate(${(index % columns) * (width + GAP)}px, ${Math.floor(index / columns) * row}px)`;
    }
  }

  /**
   * Fetch the stretch of the list that a card is in.
   * @param {number} index
   */
  async request(index) {
    const offset = Math.floor(index / CHUNK) * CHUNK;
    if (this.requested.has(offset)) return;
    this.requested.add(offset);
    const { generation } = this;
    const cards = await this.actions.load(offset, CHUNK).catch(() => []);
    if (generation !== this.generation) return;
    cards.forEach((card, place) => {
      this.cards.set(offset + place, card);
    });
    this.draw();
  }

  /**
   * @param {number} index
   * @param {Card} card
   */
  add(index, card) {
    const made = cardElement(card, this.actions);
    made.setAttribute("aria-setsize", String(this.total));
    made.setAttribute("aria-posinset", String(index + 1));
    made.dataset.index = String(index);
    this.drawn.set(index, made);
    this.stop(made, index === this.at);
    // In the order of the list, which is that of the Tab key.
    const behind = [...this.drawn.keys()].filter((other) => other > index && this.drawn.get(other)?.isConnected);
    const next = behind.length ? this.drawn.get(Math.min(...behind)) : null;
    this.list.insertBefore(made, next ?? null);
  }

  /**
   * @param {HTMLElement} card
   * @param {boolean} stops whether Tab stops at its buttons
   */
  stop(card, stops) {
    for (const one of all(card, "button")) one.tabIndex = stops ? 0 : -1;
  }

  /** @param {FocusEvent} event */
  focused(event) {
    const card = within(event, ".model-card");
    if (!card || Number(card.dataset.index) === this.at) return;
    const before = this.drawn.get(this.at);
    if (before) this.stop(before, false);
    this.at = Number(card.dataset.index);
    this.stop(card, true);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const move = MOVES[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.focus(Math.min(this.total - 1, Math.max(0, this.at + move(this.columns))));
  }

  /**
   * Bring a card into view and give it the focus, once it is there.
   * @param {number} index
   */
  async focus(index) {
    const { height } = this.size();
    const top = Math.floor(index / this.columns) * (height + GAP);
    const { scrollTop, clientHeight } = this.root;
    if (top < scrollTop) this.root.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.root.scrollTop = top + height - clientHeight;
    await this.request(index);
    this.draw();
    const card = this.drawn.get(index);
    if (card) find(card, ".card-main", HTMLElement)?.focus({ preventScroll: true });
  }

  // Which cards are in the prompt has changed.
  mark() {
    for (const [index, made] of this.drawn) {
      const card = this.cards.get(index);
      if (card) find(made, ".card-main", HTMLElement)?.setAttribute("aria-pressed", String(this.actions.pressed(card)));
    }
  }
}

/**
 * @param {Card} card
 * @param {Actions} actions
 */
function cardElement(card, actions) {
  const main = button("", () => actions.click(card), { className: "card-main", title: card.path });
  main.setAttribute("aria-pressed", String(actions.pressed(card)));
  const name = element("span", { className: "card-name no-translate", textContent: card.title });
  const words = element("span", { className: "card-words" }, name);
  if (card.description) {
    words.append(element("span", { className: "card-description no-translate", textContent: card.description }));
  }
  if (card.problem) words.append(element("span", { className: "card-problem", textContent: card.problem }));
  if (card.picture) {
    const image = element("img", { alt: "", loading: "lazy", decoding: "async", src: url(card.picture) });
    image.addEventListener("error", () => image.remove());
    main.append(image);
  }
  main.append(words);
  if (card.base) main.append(element("span", { className: "card-base no-translate", textContent: card.base }));
  const tools = element("div", { className: "card-tools" });
  tools.append(tool("📋", "Copy path", () => actions.copy(card)));
  if (card.metadata) tools.append(tool("ℹ️", "Show metadata", () => actions.metadata(card)));
  tools.append(tool("✏️", "Edit notes", () => actions.edit(card)));
  const made = element("div", { className: "model-card", role: "listitem" }, main, tools);
  made.dataset.name = card.name;
  return made;
}

/**
 * @param {string} symbol
 * @param {string} title
 * @param {() => void} press
 */
const tool = (symbol, title, press) => button(symbol, press, { title, ariaLabel: title });
