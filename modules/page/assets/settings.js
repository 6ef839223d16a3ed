// @ts-check
// The options of the Settings tab, drawn from the server's table; only what was changed is sent.

/** @import { Option as Setting, OptionSection } from "./types.js" */

import { read } from "./client.js";
import { all, button, element, find, need, reloadPage, send, sentence } from "./dom.js";
import { confirmed } from "./localization.js";
import { toast } from "./messages.js";
import { searchSettings } from "./settings_search.js";

/** A control, how its value is read from it, and what stands beside it. @typedef {{
 *   field: HTMLInputElement | HTMLSelectElement, value: () => unknown, beside: HTMLElement[]
 * }} Control */

/** @type {Map<string, unknown>} by key, what was typed and not yet applied */
const changed = new Map();
/** A setting's line, and the section that it belongs to. @typedef {{
 *   line: HTMLElement, option: Setting, home: HTMLDetailsElement
 * }} Row */

/** @type {HTMLElement} */
let panel;
/** @type {Row[]} */
let rows = [];
/** @type {OptionSection[]} */
let sections = [];

/** @param {string} text comma-separated */
export const listed = (text) =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
/**
 * @param {unknown} one
 * @param {unknown} other
 */
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/**
 * @param {Setting} option
 * @returns {Control}
 */
function control(option) {
  const common = { id: `option_${option.key}`, disabled: option.frozen };
  if (option.kind === "switch") {
    const box = element("input", { ...common, type: "checkbox", checked: Boolean(option.value) });
    return { field: box, value: () => box.checked, beside: [] };
  }
  if (option.kind === "texts") return list(option, common);
  if (option.choices.length) {
    const current = String(option.value ?? "");
    const names = option.choices.includes(current) ? option.choices : [current, ...option.choices];
    const select = element("select", common, ...names.map((name) => new Option(name, name, false, name === current)));
    return { field: select, value: () => select.value, beside: [] };
  }
  if (option.kind === "whole" || option.kind === "number") {
    const limits = {
      min: String(option.minimum ?? ""),
      max: String(option.maximum ?? ""),
      step: String(option.step ?? "any"),
    };
    const field = element("input", { ...common, type: "number", value: String(option.value), ...limits });
    return { field, value: () => field.valueAsNumber, beside: [] };
  }
  const field = element("input", {
    ...common,
    type: option.kind === "colour" ? "color" : "text",
    value: String(option.value ?? ""),
  });
  return { field, value: () => field.value, beside: [] };
}

/**
 * Several texts, comma-separated; where there is a list to choose from, a choice is put behind them.
 * @param {Setting} option
 * @param {Partial<HTMLInputElement>} common
 * @returns {Control}
 */
function list(option, common) {
  const texts = Array.isArray(option.value) ? option.value : [];
  const field = element("input", { ...common, type: "text", value: texts.join(", ") });
  const beside = [];
  if (option.choices.length && !option.frozen) {
    const add = element(
      "select",
      { ariaLabel: `Add to: ${option.label}` },
      new Option("Add…", ""),
      ...option.choices.map((name) => new Option(name, name)),
    );
    add.addEventListener("change", () => {
      field.value = [...new Set([...listed(field.value), add.value])].join(", ");
      add.value = "";
      field.dispatchEvent(new Event("input"));
    });
    beside.push(add);
  }
  return { field, value: () => listed(field.value), beside };
}

/** @type {Record<string, string>} */
const NEEDS = {
  "reload UI": "Applies after Reload UI.",
  "reload model": "The checkpoint is loaded anew.",
  restart: "Applies after a restart of the server.",
};

/** @param {Setting} option */
function row(option) {
  // What was typed and not yet applied stays when something else was saved.
  const typed = changed.has(option.key) && !option.frozen;
  const { field, value, beside } = control(typed ? { ...option, value: changed.get(option.key) } : option);
  const reset = button("↺", () => change({ reset: [option.key] }), {
    className: "reset",
    title: "Back to the default",
    disabled: option.frozen,
  });
  const label = element("label", { htmlFor: field.id, textContent: option.label });
  const line = element("div", { className: "setting" }, label, element("span", {}, field, ...beside, reset));
  const notes = [option.hint, NEEDS[option.needs], option.inert, option.frozen && "Locked by a command line flag."];
  const code = element("code", { textContent: option.key });
  line.append(
    element("small", {}, code, ...notes.flatMap((note) => (note ? [element("span", { textContent: note })] : []))),
  );
  line.classList.toggle("frozen", option.frozen);
  const mark = () =>
    line.classList.toggle(
      "other",
      !same(changed.has(option.key) ? changed.get(option.key) : option.value, option.default),
    );
  field.addEventListener("input", () => {
    if (same(value(), option.value)) changed.delete(option.key);
    else changed.set(option.key, value());
    mark();
    count();
  });
  mark();
  return line;
}

function count() {
  const apply = need(document, "#settings_apply", HTMLButtonElement);
  const several = changed.size === 1 ? "Apply 1 change" : `Apply ${changed.size} changes`;
  apply.textContent = changed.size ? several : "Apply settings";
  apply.disabled = !changed.size;
}

const searchField = () => find(document, "#settings_search", HTMLInputElement);
const onlyBox = () => find(document, "#settings_changed", HTMLInputElement);

/**
 * What the search reads of a row. In another language, the words on the page are found as well.
 * @param {Row} row
 */
function searchable({ line, option, home }) {
  const shown = all(line, "label, small > span").map((one) => one.textContent);
  const { key, label, hint, choices: menu } = option;
  return {
    key,
    label,
    hint,
    shown: shown.join(" "),
    section: home.querySelector("summary span")?.textContent ?? "",
    menu,
  };
}

// Settings with these words, best first; with `onlyChanged`, those that are not at their default. Without words each
// stands in its section.
function search() {
  const query = (searchField()?.value ?? "").trim();
  const onlyChanged = onlyBox()?.checked ?? false;
  const found = query ? searchSettings(rows.map(searchable), query).map((index) => rows[index]) : rows;
  const shown = found.filter(({ line }) => !onlyChanged || line.classList.contains("other"));
  for (const row of rows) {
    row.home.lastElementChild?.before(row.line);
    row.line.hidden = !shown.includes(row);
  }
  if (query) need(panel, "#settings_found", HTMLElement).append(...shown.map(({ line }) => line));
  for (const section of panel.querySelectorAll("details")) {
    const here = all(section, ".setting:not([hidden])").length;
    need(section, "summary small", HTMLElement).textContent = String(here);
    section.hidden = !here;
    section.open = onlyChanged;
  }
  const several = shown.length === 1 ? "1 setting found." : `${shown.length} settings found.`;
  const counted = need(panel, "#settings_count", HTMLElement);
  counted.textContent = shown.length ? several : "No setting has these words.";
  counted.hidden = !query && !onlyChanged;
}

/** @param {Setting[]} options */
const resettable = (options) =>
  options.filter((one) => !one.frozen && !same(one.value, one.default)).map((one) => one.key);

function head() {
  const words = element("input", {
    type: "search",
    id: "settings_search",
    placeholder: "Search settings by name or key",
    ariaLabel: "Search settings",
  });
  words.addEventListener("input", search);
  const only = element("input", { type: "checkbox", id: "settings_changed" });
  only.addEventListener("change", search);
  const apply = button("Apply settings", () => change({ values: Object.fromEntries(changed) }), {
    id: "settings_apply",
    className: "primary",
    disabled: true,
  });
  const reload = button("Reload UI", () => reloadPage().catch((error) => toast(sentence(error))), {
    id: "settings_reload",
  });
  const label = element("label", { className: "only" }, only, element("span", { textContent: "Changed only" }));
  return element("div", { className: "settings-head" }, words, label, apply, reload);
}

function resetAll() {
  const keys = resettable(sections.flatMap((one) => one.options));
  if (!keys.length) return toast("Every setting is at its default.", "info");
  if (confirmed(`Set ${keys.length} changed settings back to their defaults?`)) change({ reset: keys });
}

function draw() {
  const open = all(panel, "details[open]").map((one) => one.dataset.section);
  rows = [];
  const drawn = sections.map(({ section, title, options }) => {
    const resets = button("Reset this section", () => change({ reset: resettable(options) }), { className: "reset" });
    const summary = element(
      "summary",
      {},
      element("span", { textContent: title }),
      element("small", { textContent: String(options.length) }),
    );
    const folded = element("details", { open: open.includes(section) }, summary, resets);
    folded.dataset.section = section;
    for (const option of options) {
      const line = row(option);
      resets.before(line);
      rows.push({ line, option, home: folded });
    }
    return folded;
  });
  panel.replaceChildren(
    head(),
    element("p", { id: "settings_count", role: "status", hidden: true }),
    element("div", { id: "settings_found" }),
    ...drawn,
    button("Reset all settings", resetAll, { id: "settings_reset_all", className: "reset" }),
  );
  count();
}

async function load() {
  sections = await read("settings");
  const words = searchField()?.value ?? "";
  const only = onlyBox()?.checked ?? false;
  draw();
  need(document, "#settings_search", HTMLInputElement).value = words;
  need(document, "#settings_changed", HTMLInputElement).checked = only;
  if (words || only) search();
}

/** @param {{ values?: Record<string, unknown>, reset?: string[] }} changes */
async function change(changes) {
  try {
    /** @type {{ changed: string[], needs: string[] }} */
    const saved = await send("settings", changes);
    for (const key of [...Object.keys(changes.values ?? {}), ...(changes.reset ?? [])]) changed.delete(key);
    const needs = saved.needs.map((need) => NEEDS[need]).filter(Boolean);
    toast(saved.changed.length === 1 ? "Saved 1 setting." : `Saved ${saved.changed.length} settings.`, "info");
    for (const text of needs) toast(text, "info");
    await load();
  } catch (error) {
    toast(sentence(error));
  }
}

/** @param {HTMLElement} into */
export async function drawOptions(into) {
  panel = into;
  await load();
}
