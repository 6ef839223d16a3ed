// @ts-check
// Units of a script: a form for each, drawn when the accordion is first opened. Their values are one hidden text.

/** @import { Picture, UnitField, UnitSchema, UnitValues } from "./types.js" */

import { url } from "./client.js";
import { all, element, find, sentence, typeInto } from "./dom.js";
import { toast } from "./messages.js";
import { mount, setPicture } from "./slots.js";
import { idsOf, pictureList, showPictures } from "./unit_pictures.js";

/**
 * What a script's own page does with its form: `built` once a unit's controls stand, `changed` after each change of a
 * unit ("" where all of it may have changed), `active` says whether a unit is, where that is not its field `enabled`.
 * @typedef {object} Extension
 * @property {(form: UnitsForm, unit: number) => void} [built]
 * @property {(form: UnitsForm, unit: number, name: string) => void} [changed]
 * @property {(values: UnitValues) => boolean} [active]
 */

/** @type {Map<string, Extension>} */
const extensions = new Map();
/** @type {Map<string, UnitsForm>} */
const forms = new Map();

/**
 * @param {string} script its slug
 * @param {Extension} extension
 */
export const extendUnits = (script, extension) => extensions.set(script, extension);

/**
 * The fields of a unit: alike in all of them, or its own where each is a feature.
 * @param {UnitSchema} schema
 * @param {number} unit
 */
const fieldsOf = (schema, unit) => schema.forms?.[unit]?.arguments ?? schema.arguments;

/**
 * A whole list of units for what a text says: missing ones, and what is missing in one, have their defaults.
 * Units that are features are found by their titles.
 * @param {string} text
 * @param {UnitSchema} schema
 * @returns {UnitValues[]}
 */
export function unitsOf(text, schema) {
  /** @type {unknown} */
  let read = [];
  try {
    read = JSON.parse(text || "[]");
  } catch {}
  const given = Array.isArray(read) ? read : [];
  const forms = schema.forms;
  const count = forms ? forms.length : Math.max(schema.count, given.length);
  return Array.from({ length: count }, (_, unit) => {
    const found = forms ? given.find((one) => one?.title === forms[unit].title) : given[unit];
    const own = found && typeof found === "object" ? found : {};
    const values = fieldsOf(schema, unit).map(({ name, default: value }) => [name, own[name] ?? value]);
    return Object.fromEntries(forms ? [["title", forms[unit].title], ...values] : values);
  });
}

/**
 * The text of units, without those at the end that are as they were at the start, or any such where each has a title.
 * @param {UnitValues[]} units
 * @param {UnitSchema} schema
 */
export function textOf(units, schema) {
  if (schema.forms) {
    const untouched = unitsOf("[]", schema).map((unit) => JSON.stringify(unit));
    return JSON.stringify(units.filter((unit, place) => JSON.stringify(unit) !== untouched[place]));
  }
  const plain = JSON.stringify(unitsOf("[]", { ...schema, count: 1 })[0]);
  let length = units.length;
  while (length && JSON.stringify(units[length - 1]) === plain) length -= 1;
  return JSON.stringify(units.slice(0, length));
}

export class UnitsForm {
  /**
   * @param {HTMLElement} place
   * @param {UnitSchema} schema
   */
  constructor(place, schema) {
    this.place = place;
    this.schema = schema;
    this.script = place.dataset.units ?? "";
    this.mode = place.dataset.mode ?? "";
    this.textId = place.dataset.text ?? "";
    this.extension = extensions.get(this.script) ?? {};
    /** @type {UnitValues[]} */
    this.units = [];
    /** @type {string | null} */
    this.written = null;
    this.open = 0;
    this.draw(this.field()?.value ?? "[]");
  }

  /** @param {number} unit */
  fields(unit) {
    return fieldsOf(this.schema, unit);
  }

  field() {
    return find(document, `#${this.textId} textarea`, HTMLTextAreaElement);
  }

  /** @param {string} text */
  draw(text) {
    this.units = unitsOf(text, this.schema);
    // Nobody has said anything yet.
    this.isFresh = ["", "[]"].includes(text);
    this.tabs = element("div", { className: "unit-tabs" });
    this.tabs.setAttribute("role", "tablist");
    this.tabs.setAttribute("aria-label", this.place.getAttribute("aria-label") ?? "");
    this.panels = this.units.map((_, unit) => this.panel(unit));
    this.tabs.append(...this.units.map((_, unit) => this.tab(unit)));
    this.place.replaceChildren(this.tabs, ...this.panels);
    this.choose(Math.min(this.open, this.units.length - 1));
    mount();
    this.units.forEach((_, unit) => {
      this.show(unit);
      this.extension.built?.(this, unit);
    });
  }

  /** @param {number} unit */
  tab(unit) {
    const made = element("button", { type: "button", id: this.id(unit, "tab") });
    made.setAttribute("role", "tab");
    made.setAttribute("aria-controls", this.id(unit, "panel"));
    const title = this.schema.forms?.[unit]?.title;
    if (title) made.append(element("span", { textContent: title }));
    else made.append(element("span", { textContent: "Unit" }), ` ${unit}`);
    made.addEventListener("click", () => this.choose(unit));
    return made;
  }

  /** @param {number} unit */
  choose(unit) {
    this.open = unit;
    this.units.forEach((_, one) => {
      const tab = document.getElementById(this.id(one, "tab"));
      tab?.setAttribute("aria-selected", String(one === unit));
      tab?.setAttribute("tabindex", one === unit ? "0" : "-1");
      if (this.panels) this.panels[one].hidden = one !== unit;
    });
  }

  /**
   * @param {number} unit
   * @param {string} name
   */
  id(unit, name) {
    return `unit_${this.mode}_${this.script}_${unit}_${name}`;
  }

  /** @param {number} unit */
  panel(unit) {
    const made = element("div", { className: "unit-panel", id: this.id(unit, "panel") });
    made.setAttribute("role", "tabpanel");
    made.setAttribute("aria-labelledby", this.id(unit, "tab"));
    for (const field of this.fields(unit)) made.append(this.control(unit, field));
    return made;
  }

  /**
   * @param {number} unit
   * @param {UnitField} field
   * @returns {HTMLElement}
   */
  control(unit, field) {
    const row = element("div", { className: `unit-field unit-${field.look}` });
    row.dataset.field = field.name;
    const id = this.id(unit, field.name);
    const label = element("label", { textContent: field.label, htmlFor: id });
    const change = (/** @type {unknown} */ value) => this.change(unit, field.name, value);
    if (field.look === "picture") {
      const slot = element("div", { className: "slot" });
      slot.dataset.slot = id;
      slot.dataset.brush = field.choices[0] ?? "";
      slot.dataset.colour = "";
      slot.setAttribute("aria-label", field.label);
      slot.style.setProperty("--editor-height", "320px");
      // What is seldom needed takes no room.
      if (field.choices.length) row.append(slot);
      else row.append(element("details", {}, element("summary", { textContent: field.label }), slot));
      return row;
    }
    if (field.look === "pictures") {
      const put = (/** @type {string[]} */ ids) => this.set(unit, field.name, ids);
      row.append(pictureList(field.label, id, () => idsOf(this.units[unit][field.name]), put));
      return row;
    }
    if (field.look === "checkbox") {
      const box = element("input", { type: "checkbox", id });
      box.addEventListener("change", () => change(box.checked));
      row.append(box, label);
      return row;
    }
    if (field.look === "slider") {
      const about = { min: String(field.minimum ?? 0), max: String(field.maximum ?? 1), step: String(field.step ?? 1) };
      const range = element("input", { type: "range", ...about, tabIndex: -1 });
      range.setAttribute("aria-hidden", "true");
      const number = element("input", { type: "number", id, ...about });
      range.addEventListener("input", () => {
        number.value = range.value;
      });
      range.addEventListener("change", () => change(Number(range.value)));
      number.addEventListener("change", () => {
        range.value = number.value;
        if (number.value !== "") change(Number(number.value));
      });
      row.append(label, number, range);
      return row;
    }
    if (field.look === "dropdown" || field.look === "radio") {
      const list = element("select", { id });
      list.append(...field.choices.map((text) => element("option", { textContent: text, value: text })));
      list.addEventListener("change", () => change(list.value));
      row.append(label, list);
      return row;
    }
    const text = element("textarea", { id, rows: field.lines });
    text.addEventListener("change", () => change(text.value));
    row.append(label, text);
    return row;
  }

  /**
   * A unit's control of that name; null for a picture.
   * @param {number} unit
   * @param {string} name
   */
  input(unit, name) {
    const found = document.getElementById(this.id(unit, name));
    return found instanceof HTMLInputElement ||
      found instanceof HTMLSelectElement ||
      found instanceof HTMLTextAreaElement
      ? found
      : null;
  }

  /**
   * The whole row of a unit's argument.
   * @param {number} unit
   * @param {string} name
   */
  row(unit, name) {
    return this.panels ? find(this.panels[unit], `[data-field="${name}"]`, HTMLElement) : null;
  }

  /**
   * What a list offers; a value that is not among it stays, as the last one.
   * @param {number} unit
   * @param {string} name
   * @param {{ value: string, text: string }[]} choices
   */
  offer(unit, name, choices) {
    const list = this.input(unit, name);
    if (!(list instanceof HTMLSelectElement)) return;
    const value = String(this.units[unit][name] ?? "");
    const known = !value || choices.some((one) => one.value === value);
    const offered = known ? choices : [...choices, { value, text: value }];
    list.replaceChildren(...offered.map(({ value, text }) => element("option", { textContent: text, value })));
    list.value = value;
  }

  /**
   * What a slider is called, and between which numbers it moves now.
   * @param {number} unit
   * @param {string} name
   * @param {{ name: string, min: number, max: number, step: number, value: number }} slider
   */
  limit(unit, name, slider) {
    const row = this.row(unit, name);
    const label = row?.querySelector("label");
    if (label) label.textContent = slider.name;
    const own = Number(this.units[unit][name]);
    const shown = own >= slider.min && own <= slider.max ? own : slider.value;
    for (const input of row?.querySelectorAll("input") ?? []) {
      Object.assign(input, { min: String(slider.min), max: String(slider.max), step: String(slider.step) });
      input.value = String(shown);
    }
  }

  /**
   * Puts a unit's values into its controls.
   * @param {number} unit
   */
  show(unit) {
    for (const field of this.fields(unit)) {
      const value = this.units[unit][field.name];
      if (field.look === "picture") {
        if (value) setPicture(this.id(unit, field.name), String(value));
        continue;
      }
      if (field.look === "pictures") {
        const row = this.row(unit, field.name);
        if (row) showPictures(row, idsOf(value), (ids) => this.set(unit, field.name, ids));
        continue;
      }
      const input = this.input(unit, field.name);
      if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value === true;
      else if (input instanceof HTMLSelectElement)
        this.offer(
          unit,
          field.name,
          field.choices.map((text) => ({ value: text, text })),
        );
      else if (input) {
        input.value = String(value ?? "");
        const range = this.row(unit, field.name)?.querySelector("input[type=range]");
        if (range instanceof HTMLInputElement) range.value = input.value;
      }
    }
    this.mark(unit);
  }

  // A tab whose unit is enabled says so, also to those who don't see its colour.
  /** @param {number} unit */
  mark(unit) {
    const active = this.extension.active?.(this.units[unit]) ?? this.units[unit].enabled === true;
    const tab = document.getElementById(this.id(unit, "tab"));
    tab?.classList.toggle("active", active);
    if (tab) tab.title = active ? "Enabled" : "";
  }

  /**
   * A person, or the script's own page, gave an argument a value.
   * @param {number} unit
   * @param {string} name
   * @param {unknown} value
   */
  change(unit, name, value) {
    if (this.units[unit][name] === value) return;
    this.units[unit][name] = value;
    this.mark(unit);
    this.write();
    this.extension.changed?.(this, unit, name);
  }

  /**
   * As `change`, and shown in its control.
   * @param {number} unit
   * @param {string} name
   * @param {unknown} value
   */
  set(unit, name, value) {
    this.units[unit][name] = value;
    this.show(unit);
    this.write();
  }

  write() {
    const field = this.field();
    this.written = textOf(this.units, this.schema);
    if (field && field.value !== this.written) typeInto(field, this.written);
  }

  /**
   * A text from somewhere else: a restored form, a pasted picture. Pictures stay where it has none.
   * @param {string} text
   */
  receive(text) {
    if (text === this.written) return;
    const pictures = this.schema.arguments.filter(({ look }) => look.startsWith("picture")).map(({ name }) => name);
    const before = this.units;
    const count = unitsOf(text, this.schema).length;
    if (count !== before.length) this.draw(text);
    else this.units = unitsOf(text, this.schema);
    this.units.forEach((own, unit) => {
      for (const name of pictures) if (isNone(own[name]) && before[unit]?.[name]) own[name] = before[unit][name];
      this.show(unit);
      this.extension.changed?.(this, unit, "");
    });
    this.written = textOf(this.units, this.schema);
    // Gradio's value has the pictures too.
    if (this.written !== text) this.write();
  }
}

/**
 * Whether an argument holds no picture; several are a list.
 * @param {unknown} value
 */
const isNone = (value) => !value || (Array.isArray(value) && !value.length);

/**
 * Gradio has a new text for a script's units.
 * @param {string} textId
 * @param {string} text
 */
export function showUnits(textId, text) {
  // A form that is drawn later begins with the text that stands there then.
  forms.get(textId)?.receive(text);
}

/** @param {HTMLElement} place */
async function begin(place) {
  place.dataset.ready = "";
  const { mode, units, name, text } = place.dataset;
  try {
    const answer = await fetch(url(`units/${mode}/${units}/${name}`));
    if (!answer.ok) throw new Error(`The units could not be read (${answer.status}): reload the page.`);
    const form = new UnitsForm(place, await answer.json());
    forms.set(text ?? "", form);
  } catch (error) {
    delete place.dataset.ready;
    toast(sentence(error));
  }
}

export function watchUnits() {
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && target instanceof HTMLElement && target.dataset.ready === undefined) begin(target);
    }
  });
  new MutationObserver(() => {
    for (const place of all(document, ".units:not([data-watched])")) {
      place.dataset.watched = "";
      seen.observe(place);
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener("picture-stored", (event) => {
    if (!(event instanceof CustomEvent)) return;
    /** @type {{ name: string, state: Picture | null }} */
    const { name, state } = event.detail;
    for (const form of forms.values()) {
      form.units.forEach((_, unit) => {
        for (const field of form.fields(unit)) {
          if (field.look !== "picture" || form.id(unit, field.name) !== name) continue;
          form.change(unit, field.name, state?.id ?? "");
          const painted = field.choices[1];
          if (painted) form.change(unit, painted, state?.paint ?? "");
        }
      });
    }
  });
}
