// @ts-check
// Cards in a grid of which only what can be seen is on the page.

/** @import { Card, CardLook } from "./types.js" */

import { url } from "./client.js";
import { all, button, element, find } from "./dom.js";
import { columnsIn } from "./grid_layout.js";
import { VirtualGrid } from "./virtual_grid.js";

const WIDTH = 160;
const HEIGHT = 224;

/** What happens when somebody uses a card. @typedef {{
 *   load: (offset: number, limit: number) => Promise<Card[]>,
 *   pressed: (card: Card) => boolean,
 *   click: (card: Card) => void,
 *   copy: (card: Card) => void,
 *   metadata: (card: Card) => void,
 *   edit: (card: Card) => void,
 * }} Actions */

/** @extends {VirtualGrid<Card>} */
export class CardGrid extends VirtualGrid {
  /**
   * @param {string} label
   * @param {Actions} actions
   */
  constructor(label, actions) {
    const list = element("div", { className: "card-list", role: "list", ariaLabel: label });
    super({ list, root: element("div", { className: "card-scroller" }, list), load: actions.load });
    this.actions = actions;
    /** @type {CardLook | null} */
    this.look = null;
  }

  /**
   * Another list, of which the first cards are known.
   * @param {number} total
   * @param {Card[]} first
   * @param {CardLook} look
   * @param {boolean} stay where the person has scrolled to
   */
  showCards(total, first, look, stay) {
    this.look = look;
    this.list.style.setProperty("--card-scale", String(look.scale));
    this.show(total, first, stay);
    this.mark();
  }

  measure() {
    const { look } = this;
    if (!look) return null;
    const room = this.list.clientWidth; // without the padding around it, where a card would be cut off
    const { columns, width } = columnsIn(room, look.width || (room < 480 ? WIDTH * 0.8 : WIDTH));
    return { columns, width: look.width ? Math.min(look.width, room) : width, height: look.height || HEIGHT };
  }

  /**
   * @param {number} _index
   * @param {Card | undefined} card
   */
  make(_index, card) {
    return card ? cardElement(card, this.actions) : null;
  }

  /**
   * @param {HTMLElement} card
   * @param {boolean} stops whether Tab stops at its buttons
   */
  stop(card, stops) {
    for (const one of all(card, "button")) one.tabIndex = stops ? 0 : -1;
  }

  /** @param {HTMLElement} card */
  focusBox(card) {
    find(card, ".card-main", HTMLElement)?.focus({ preventScroll: true });
  }

  // Which cards are in the prompt has changed.
  mark() {
    for (const [index, made] of this.drawn) {
      const card = this.items.get(index);
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
