// @ts-check
// What people note of a model, in a dialog; its metadata in another one.

/** @import { Card, CardDetails, CardKind, Mode } from "./types.js" */

import { clickable, randomPrompt, toggled } from "./card_text.js";
import { client, read, url } from "./client.js";
import { openDialog } from "./dialog.js";
import { all, button, element, find, need, send, sentence, typeInto } from "./dom.js";
import { selectedIndex } from "./selection.js";

const BASES = ["Unknown", "SD1", "SD2", "SDXL"];
const PREFERENCES = ["vae", "prediction"]; // of checkpoints
const AUTOMATIC = "Automatic";
const TAGS_SHOWN = 24;
const TAGS_OF_METADATA = 200;

/** A field of the editor: its key in the file, and how it is drawn. @typedef {{
 *   key: string, control: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement, label: HTMLElement
 * }} Field */

/**
 * @param {CardKind} kind
 * @param {Card} card
 * @returns {Promise<CardDetails>}
 */
const detailsOf = (kind, card) => read(`cards/details?${new URLSearchParams({ kind, name: card.name })}`);

/**
 * @param {string} key
 * @param {string} text
 * @param {Field["control"]} control
 * @returns {Field}
 */
function field(key, text, control) {
  control.name = key;
  return { key, control, label: element("label", {}, element("span", { textContent: text }), control) };
}

/**
 * @param {string} value
 * @param {number} rows
 */
const area = (value, rows, placeholder = "") => element("textarea", { value, rows, placeholder });

/**
 * One of several names, "Automatic" for none; a value that is not among them stays as it is.
 * @param {string[]} names
 * @param {string} value
 */
function choice(names, value) {
  const all = names.includes(value) || !value ? names : [value, ...names];
  const select = element("select", {}, ...all.map((name) => new Option(name)));
  select.value = value || AUTOMATIC;
  return select;
}

/**
 * @param {CardKind} kind
 * @param {CardDetails} details
 * @returns {Field[]}
 */
function fieldsOf(kind, { values, description, base, vaes, predictions }) {
  const fields = [
    field("description", "Description", area(values.description, 3, values.description ? "" : description)),
  ];
  if (kind === "lora") {
    const versions = element("select", {}, ...BASES.map((name) => new Option(name)));
    versions.value = BASES.includes(values["sd version"]) ? values["sd version"] : "Unknown";
    const shapes = base && versions.value === "Unknown" ? `Stable Diffusion version (found: ${base})` : "";
    const weight = element("input", { type: "number", min: "0", max: "2", step: "0.01" });
    weight.value = String(values["preferred weight"]);
    fields.push(
      field("sd version", shapes || "Stable Diffusion version", versions),
      field("activation text", "Activation text", area(values["activation text"], 2)),
      field("preferred weight", "Preferred weight (0: the setting's)", weight),
      field("negative text", "Negative prompt", area(values["negative text"], 2)),
    );
  }
  if (kind === "checkpoints") {
    fields.push(
      field("vae", "Preferred VAE", choice(vaes, values.vae)),
      field("prediction", "What it predicts", choice(predictions, values.prediction)),
    );
  }
  fields.push(field("notes", "Notes", area(values.notes, 3)));
  return fields;
}

/**
 * Words to be clicked into a text field, and out of it.
 * @param {string} title
 * @param {[string, number][]} words
 * @param {HTMLTextAreaElement} into
 */
function wordButtons(title, words, into) {
  if (!words.length) return [];
  const list = element("div", { className: "card-tags" });
  const mark = () => {
    const parts = into.value.split(",").map((part) => part.trim());
    for (const one of all(list, "button"))
      one.setAttribute("aria-pressed", String(parts.includes(one.dataset.word ?? "")));
  };
  list.append(
    ...words.map(([word, count]) => {
      const one = button("", () => {
        typeInto(into, toggled(into.value, word));
        mark();
      });
      one.dataset.word = word;
      one.append(element("span", { className: "no-translate", textContent: word }));
      if (count) one.append(element("small", { textContent: String(count) }));
      return one;
    }),
  );
  mark();
  into.addEventListener("input", mark);
  return [element("h3", { textContent: title }), list];
}

/** @param {[string, string][]} rows */
function fileTable(rows) {
  const table = element("dl", { className: "card-table" });
  for (const [label, value] of rows) {
    table.append(
      element("dt", { textContent: label }),
      element("dd", { textContent: value, className: "no-translate" }),
    );
  }
  return table;
}

/**
 * Words that a random prompt is made of, and where it is drawn.
 * @param {[string, number][]} tags
 */
function randomRow(tags) {
  if (!tags.length) return [];
  const text = element("input", { type: "text", readOnly: true, ariaLabel: "Random prompt" });
  const draw = button("Generate", () => {
    text.value = randomPrompt(tags);
  });
  return [element("h3", { textContent: "Random prompt" }), element("div", { className: "card-random" }, text, draw)];
}

/**
 * The picture that is selected in the gallery of a tab: the job on display, and its number.
 * @param {Mode} mode
 */
async function selected(mode) {
  const shown = find(document, `#${mode}_shown textarea, #${mode}_shown input`, HTMLElement);
  const job = shown instanceof HTMLTextAreaElement || shown instanceof HTMLInputElement ? shown.value : "";
  const picture = await selectedIndex(mode);
  return { job, picture };
}

class Editor {
  /**
   * @param {Mode} mode
   * @param {CardKind} kind
   * @param {Card} card
   * @param {() => void} changed
   */
  constructor(mode, kind, card, changed) {
    this.mode = mode;
    this.kind = kind;
    this.card = card;
    this.changed = changed;
    this.dialog = openDialog(card.title, "card-editor", { foreign: true });
    this.note = element("output", {});
    this.picture = element("img", { alt: "Preview", hidden: true });
    /** @type {Field[]} */
    this.fields = [];
  }

  /**
   * @param {string} text
   * @param {"info" | "error"} kind
   */
  say(text, kind = "info") {
    this.note.className = kind;
    this.note.textContent = text;
  }

  /** @param {() => Promise<void>} act */
  async attempt(act) {
    try {
      await act();
    } catch (error) {
      this.say(sentence(error), "error");
    }
  }

  /** @param {CardDetails} details */
  draw(details) {
    this.fields = fieldsOf(this.kind, details);
    this.showPicture(details);
    const tags = clickable(details.tags).slice(0, TAGS_SHOWN);
    const activation = this.fields.find(({ key }) => key === "activation text")?.control;
    const words =
      activation instanceof HTMLTextAreaElement
        ? [
            ...wordButtons(
              "Words of its makers",
              details.words.map((word) => [word, 0]),
              activation,
            ),
            ...wordButtons("Training dataset tags", tags, activation),
            ...randomRow(tags),
          ]
        : [];
    const ends = element(
      "div",
      { className: "dialog-buttons" },
      button("Save", () => this.attempt(() => this.save()), { className: "primary" }),
      button("Replace preview with the selected picture", () => this.attempt(() => this.replace())),
      button("Close", () => this.dialog.close()),
    );
    const head = element("div", { className: "card-head" }, this.picture, fileTable(details.table));
    this.dialog.append(head, ...this.fields.map(({ label }) => label), ...words, this.note, ends);
    if (details.problem) this.say(details.problem, "error");
  }

  /** @param {CardDetails} details */
  showPicture({ picture }) {
    this.picture.hidden = !picture;
    if (picture) this.picture.src = url(picture);
  }

  async save() {
    /** @type {Record<string, string>} */
    const texts = {};
    let weight = null;
    for (const { key, control } of this.fields) {
      if (control instanceof HTMLInputElement) weight = control.valueAsNumber || 0;
      // A checkpoint without a preference has no entry for it in its file.
      else texts[key] = PREFERENCES.includes(key) && control.value === AUTOMATIC ? "" : control.value;
    }
    await send("cards/details", { kind: this.kind, name: this.card.name, texts, weight });
    this.say("Saved.");
    this.changed();
  }

  async replace() {
    const { job, picture } = await selected(this.mode);
    const body = { kind: this.kind, name: this.card.name, job, picture };
    this.showPicture(await send(`cards/preview?client=${client}`, body));
    this.say("The preview was replaced.");
    this.changed();
  }
}

/**
 * @param {Mode} mode
 * @param {CardKind} kind
 * @param {Card} card
 * @param {() => void} changed is called when something was saved
 */
export async function editCard(mode, kind, card, changed) {
  const editor = new Editor(mode, kind, card, changed);
  await editor.attempt(async () => editor.draw(await detailsOf(kind, card)));
}

/**
 * @param {Mode} mode
 * @param {CardKind} kind
 * @param {Card} card
 */
export async function showMetadata(mode, kind, card) {
  const dialog = openDialog(card.title, "card-metadata", { foreign: true });
  const ends = element(
    "div",
    { className: "dialog-buttons" },
    button("Close", () => dialog.close()),
  );
  try {
    const { metadata, tags } = await detailsOf(kind, card);
    const prompt = need(document, `#${mode}_prompt textarea`, HTMLTextAreaElement);
    dialog.append(
      ...wordButtons(
        "Tags of the training pictures: a click puts one into the prompt",
        tags.slice(0, TAGS_OF_METADATA),
        prompt,
      ),
      element("pre", { textContent: metadata || "There is no metadata in this file." }),
      ends,
    );
  } catch (error) {
    dialog.append(element("p", { textContent: sentence(error) }), ends);
  }
}
