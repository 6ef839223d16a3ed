// @ts-check
// The tabs of cards beside Generation: search, order, folders, and what a click does.

/** @import { Card, CardKind, CardPage, Mode } from "./types.js" */

import { editCard, showMetadata } from "./card_editor.js";
import { CardFolders } from "./card_folders.js";
import { CardGrid } from "./card_grid.js";
import { clicked, isIn } from "./card_text.js";
import { read } from "./client.js";
import { button, element, find, need, send, sentence, typeInto, within } from "./dom.js";
import { listAgain } from "./jobs.js";
import { toast } from "./messages.js";

const TYPING = 150; // milliseconds that somebody who types has until the search begins
const READING = 700; // until the list is read again, while files are still being read
const SORTS = [
  ["path", "Path"],
  ["name", "Name"],
  ["created", "Date created"],
  ["modified", "Date modified"],
];
/** @type {Record<CardKind, string>} */
const LABELS = {
  "textual inversion": "Textual inversions",
  hypernetworks: "Hypernetworks",
  checkpoints: "Checkpoints",
  lora: "LoRAs",
};
/** @type {Record<CardKind, string>} */
const FILES = {
  "textual inversion": ".safetensors, .pt, .bin",
  hypernetworks: ".pt",
  checkpoints: ".safetensors, .ckpt",
  lora: ".safetensors, .pt",
};
const PROMPTS = /** @type {const} */ ({ prompt: "prompt", negative: "neg_prompt" });
/** @type {Map<string, keyof typeof PROMPTS>} by tab, the prompt that had the focus last */
const focusedPrompt = new Map();

/**
 * @param {string} mode
 * @param {keyof typeof PROMPTS} which
 */
const box = (mode, which) => need(document, `#${mode}_${PROMPTS[which]} textarea`, HTMLTextAreaElement);
/** @param {string} mode */
const promptsOf = (mode) => ({ prompt: box(mode, "prompt").value, negative: box(mode, "negative").value });

/** @type {string} the title of the checkpoint whose card was clicked last */
let clickedCheckpoint = "";
// For the event of Gradio's that chooses it.
export const checkpointOfCard = () => clickedCheckpoint;

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.", "info");
  } catch {
    // Over plain HTTP to another machine browsers give no clipboard.
    toast(text, "info");
  }
}

class Panel {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.mode = /** @type {Mode} */ (root.dataset.mode);
    this.kind = /** @type {CardKind} */ (root.dataset.kind);
    this.folder = "";
    /** @type {CardPage["query"] | null} what the person chose, else what the settings say */
    this.query = null;
    /** @type {CardPage | null} */
    this.page = null;
    this.timer = 0;
    this.number = 0;
    const id = `${this.mode}_${this.kind.replace(" ", "_")}`;
    this.grid = new CardGrid(LABELS[this.kind], {
      load: async (offset, limit) => (await this.read(offset, limit)).cards,
      pressed: (card) => this.pressed(card),
      click: (card) => this.click(card),
      copy: (card) => copied(card.path),
      metadata: (card) => showMetadata(this.mode, this.kind, card),
      edit: (card) => editCard(this.mode, this.kind, card, () => this.load({ stay: true })),
    });
    this.search = element("input", {
      type: "search",
      id: `${id}_extra_search`,
      placeholder: "Search",
      ariaLabel: "Search cards",
    });
    this.search.addEventListener("input", () => this.later(TYPING, {}));
    this.sort = element("select", { ariaLabel: "Sort by" }, ...SORTS.map(([name, text]) => new Option(text, name)));
    this.sort.addEventListener("change", () => this.choose({ sort: this.sort.value }));
    this.direction = button("", () => this.choose({ descending: !this.query?.descending }), {
      className: "card-direction",
    });
    this.fitting = element("input", { type: "checkbox" });
    this.fitting.addEventListener("change", () => this.choose({ fitting: this.fitting.checked }));
    this.fits = element(
      "label",
      { className: "card-fits", hidden: true },
      this.fitting,
      element("span", { textContent: "Fits the loaded checkpoint" }),
    );
    const refresh = button("🔄", () => this.refresh(), { title: "Refresh", ariaLabel: "Refresh", id: `${id}_refresh` });
    this.folders = new CardFolders(this.kind, (folder) => {
      this.folder = folder;
      this.load({});
    });
    this.status = element("p", { role: "status", className: "card-status" });
    root.replaceChildren(
      element("div", { className: "card-bar" }, this.search, this.sort, this.direction, refresh, this.fits),
      this.status,
      element("div", { className: "card-body" }, this.folders.root, this.grid.root),
    );
    // Also where it stands below what a phone shows: only a tab that isn't open is far enough away.
    new IntersectionObserver(([seen]) => seen.isIntersecting && this.load({ newest: true, stay: this.page !== null }), {
      rootMargin: "4000px",
    }).observe(root);
  }

  /**
   * @param {number} offset
   * @param {number} limit
   * @returns {Promise<CardPage>}
   */
  read(offset, limit, newest = false) {
    const wanted = new URLSearchParams({ kind: this.kind, search: this.search.value, folder: this.folder });
    for (const [name, value] of Object.entries({ ...this.query, offset, limit })) wanted.set(name, String(value));
    if (newest) wanted.set("newest", "true");
    return read(`cards?${wanted}`);
  }

  /** @param {{ newest?: boolean, stay?: boolean }} how */
  async load({ newest = false, stay = false }) {
    clearTimeout(this.timer);
    this.number += 1;
    const { number } = this;
    try {
      const page = await this.read(0, 60, newest);
      // A slow answer must not overwrite that to what was typed since.
      if (number === this.number) this.show(page, stay);
    } catch (error) {
      if (number === this.number) this.status.textContent = sentence(error);
    }
  }

  /**
   * @param {number} wait in milliseconds
   * @param {{ newest?: boolean, stay?: boolean }} how
   */
  later(wait, how) {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.load(how), wait);
  }

  /**
   * @param {CardPage} page
   * @param {boolean} stay
   */
  show(page, stay) {
    this.page = page;
    const { query } = page;
    this.sort.value = query.sort;
    this.direction.textContent = query.descending ? "↓" : "↑";
    this.direction.title = query.descending ? "Descending" : "Ascending";
    this.direction.ariaLabel = this.direction.title;
    this.fitting.checked = query.fitting;
    this.fits.hidden = !page.base;
    this.drawFolders(page);
    this.status.textContent = this.summary(page);
    this.grid.showCards(page.total, page.cards, page.look, stay);
    if (page.unread && this.root.offsetParent) this.later(READING, { stay: true });
  }

  /** @param {CardPage} page */
  summary({ all: count, total, unread, where }) {
    if (!count) return `There is nothing here yet: put files (${FILES[this.kind]}) into ${where} and press refresh.`;
    if (unread) return `${unread} of ${count} files are still being read.`;
    if (total === count) return total === 1 ? "1 card" : `${total} cards`;
    return `${total} of ${count} cards`;
  }

  /** @param {CardPage} page */
  drawFolders({ folders, look }) {
    this.root.classList.toggle("as-tree", look.tree);
    this.root.style.setProperty("--tree-width", `${look.tree_width}px`);
    if (this.folder && !folders.includes(this.folder)) this.folder = "";
    this.folders.show(folders, this.folder, look.tree);
  }

  /** @param {Partial<CardPage["query"]>} change */
  choose(change) {
    if (!this.page) return;
    this.query = { ...this.page.query, ...change };
    this.load({});
  }

  async refresh() {
    try {
      await send(`cards/refresh?kind=${encodeURIComponent(this.kind)}`);
      listAgain();
      await this.load({ stay: true });
    } catch (error) {
      toast(sentence(error));
    }
  }

  /** @param {Card} card */
  pressed(card) {
    if (this.kind === "checkpoints") return card.checkpoint !== "" && card.checkpoint === this.page?.current;
    const { prompt, negative } = promptsOf(this.mode);
    if (isIn(prompt, this.kind, card)) return true;
    return this.kind === "textual inversion" && isIn(negative, this.kind, card);
  }

  /** @param {Card} card */
  click(card) {
    if (this.kind === "checkpoints") return this.useCheckpoint(card);
    const before = promptsOf(this.mode);
    const separator = this.page?.look.separator ?? " ";
    const after = clicked(before, this.kind, card, separator, focusedPrompt.get(this.mode));
    for (const which of /** @type {const} */ (["prompt", "negative"])) {
      if (after[which] !== before[which]) typeInto(box(this.mode, which), after[which]);
    }
    this.grid.mark();
  }

  /** @param {Card} card */
  useCheckpoint(card) {
    if (!this.page || !card.checkpoint) return toast("This checkpoint is not in the list yet: press refresh.");
    this.page.current = card.checkpoint;
    clickedCheckpoint = card.checkpoint;
    need(document, "#checkpoint_by_card", HTMLElement).click();
    this.grid.mark();
  }
}

/** @type {Map<Element, Panel>} */
const panels = new Map();

// A tab's content stands in the page only once it has been opened.
export function watchCards() {
  new MutationObserver(() => {
    for (const root of document.querySelectorAll(".cards[data-kind]")) {
      if (root instanceof HTMLElement && !panels.has(root)) panels.set(root, new Panel(root));
    }
  }).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("webui-models", () => {
    for (const panel of panels.values()) if (panel.root.offsetParent) panel.load({ newest: true, stay: true });
  });
  document.addEventListener("focusin", (event) => {
    const prompt = within(event, "[id$=_prompt]");
    const found = prompt && find(prompt, "textarea", HTMLTextAreaElement) && /^(\w+?)_(neg_)?prompt$/.exec(prompt.id);
    if (found) focusedPrompt.set(found[1], found[2] ? "negative" : "prompt");
  });
  document.addEventListener("input", (event) => {
    if (!within(event, "[id$=_prompt] textarea")) return;
    for (const panel of panels.values()) if (panel.root.offsetParent) panel.grid.mark();
  });
}
