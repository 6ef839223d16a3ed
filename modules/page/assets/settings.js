// The options of the Settings tab, drawn from the server's table; only what was changed is sent.

import { read } from "./client.js";
import { button, element, reloadPage, send } from "./dom.js";
import { toast } from "./messages.js";

const changed = new Map();
let panel;
let sections = [];

const listed = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// One control for an option, and how its value is read from it.
function control(option) {
  const common = { id: `option_${option.key}`, disabled: option.frozen };
  if (option.kind === "switch") {
    const box = element("input", { ...common, type: "checkbox", checked: Boolean(option.value) });
    return [box, () => box.checked];
  }
  if (option.kind === "texts") return list(option, common);
  if (option.choices.length) {
    const names = option.choices.includes(option.value) ? option.choices : [option.value ?? "", ...option.choices];
    const select = element("select", common, ...names.map((name) => new Option(name, name, false, name === option.value)));
    return [select, () => select.value];
  }
  if (option.kind === "whole" || option.kind === "number") {
    const limits = { min: option.minimum ?? "", max: option.maximum ?? "", step: option.step ?? "any" };
    const field = element("input", { ...common, type: "number", value: option.value, ...limits });
    return [field, () => field.valueAsNumber];
  }
  const field = element("input", { ...common, type: option.kind === "colour" ? "color" : "text", value: option.value ?? "" });
  return [field, () => field.value];
}

// Several texts, comma-separated; where there is a list to choose from, a choice is put behind them.
function list(option, common) {
  const field = element("input", { ...common, type: "text", value: (option.value ?? []).join(", ") });
  if (option.choices.length && !option.frozen) {
    const add = element("select", { ariaLabel: `Add to: ${option.label}` }, new Option("Add…", ""), ...option.choices.map((name) => new Option(name, name)));
    add.addEventListener("change", () => {
      field.value = [...new Set([...listed(field.value), add.value])].join(", ");
      add.value = "";
      field.dispatchEvent(new Event("input"));
    });
    field.adding = add;
  }
  return [field, () => listed(field.value)];
}

const NEEDS = {
  "reload UI": "Applies after Reload UI.",
  "reload model": "The checkpoint is loaded anew.",
  restart: "Applies after a restart of the server.",
};

function row(option) {
  // What was typed and not yet applied stays when something else was saved.
  const typed = changed.has(option.key) && !option.frozen;
  const [input, value] = control(typed ? { ...option, value: changed.get(option.key) } : option);
  const reset = button("↺", () => change({ reset: [option.key] }), { className: "reset", title: "Back to the default", disabled: option.frozen });
  const label = element("label", { htmlFor: input.id, textContent: option.label });
  const line = element("div", { className: "setting" }, label, element("span", {}, input, ...(input.adding ? [input.adding] : []), reset));
  line.dataset.words = `${option.label} ${option.key} ${option.hint}`.toLowerCase();
  const notes = [option.hint, NEEDS[option.needs], option.inert, option.frozen && "Locked by a command line flag."];
  const code = element("code", { textContent: option.key });
  line.append(element("small", {}, code, ...notes.filter(Boolean).map((note) => element("span", { textContent: note }))));
  line.classList.toggle("frozen", option.frozen);
  const mark = () => line.classList.toggle("other", !same(changed.has(option.key) ? changed.get(option.key) : option.value, option.default));
  input.addEventListener("input", () => {
    if (same(value(), option.value)) changed.delete(option.key);
    else changed.set(option.key, value());
    mark();
    count();
  });
  mark();
  return line;
}

function count() {
  const apply = document.getElementById("settings_apply");
  const several = changed.size === 1 ? "Apply 1 change" : `Apply ${changed.size} changes`;
  apply.textContent = changed.size ? several : "Apply settings";
  apply.disabled = !changed.size;
}

// Everything with these words; with `onlyChanged`, what is not at its default.
function search() {
  const wanted = document.getElementById("settings_search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const onlyChanged = document.getElementById("settings_changed").checked;
  for (const section of panel.querySelectorAll("details")) {
    let found = 0;
    for (const line of section.querySelectorAll(".setting")) {
      // In another language, the words on the page are found as well.
      const words = `${line.dataset.words} ${line.textContent.toLowerCase()}`;
      line.hidden = !wanted.every((word) => words.includes(word)) || (onlyChanged && !line.classList.contains("other"));
      found += !line.hidden;
    }
    section.hidden = !found;
    section.open = wanted.length > 0 || onlyChanged;
  }
  document.getElementById("settings_none").hidden = Boolean(panel.querySelector("details:not([hidden])"));
}

const resettable = (options) => options.filter((one) => !one.frozen && !same(one.value, one.default)).map((one) => one.key);

function head() {
  const find = element("input", { type: "search", id: "settings_search", placeholder: "Search settings by name or key", ariaLabel: "Search settings" });
  find.addEventListener("input", search);
  const only = element("input", { type: "checkbox", id: "settings_changed" });
  only.addEventListener("change", search);
  const apply = button("Apply settings", () => change({ values: Object.fromEntries(changed) }), { id: "settings_apply", className: "primary", disabled: true });
  const reload = button("Reload UI", () => reloadPage().catch((error) => toast(error.message)), { id: "settings_reload" });
  const label = element("label", { className: "only" }, only, element("span", { textContent: "Changed only" }));
  return element("div", { className: "settings-head" }, find, label, apply, reload);
}

function resetAll() {
  const keys = resettable(sections.flatMap((one) => one.options));
  if (!keys.length) return toast("Every setting is at its default.", "info");
  if (confirm(`Set ${keys.length} changed settings back to their defaults?`)) change({ reset: keys });
}

function draw() {
  const open = [...panel.querySelectorAll("details[open]")].map((one) => one.dataset.section);
  const drawn = sections.map(({ section, title, options }) => {
    const all = button("Reset this section", () => change({ reset: resettable(options) }), { className: "reset" });
    const summary = element("summary", {}, element("span", { textContent: title }), element("small", { textContent: options.length }));
    const folded = element("details", { open: open.includes(section) }, summary, ...options.map(row), all);
    folded.dataset.section = section;
    return folded;
  });
  const none = element("p", { id: "settings_none", textContent: "No setting has these words.", hidden: true });
  panel.replaceChildren(head(), none, ...drawn, button("Reset all settings", resetAll, { id: "settings_reset_all", className: "reset" }));
  count();
}

async function load() {
  sections = await read("settings");
  const [words, only] = ["settings_search", "settings_changed"].map((id) => document.getElementById(id));
  draw();
  if (!words) return;
  document.getElementById("settings_search").value = words.value;
  document.getElementById("settings_changed").checked = only.checked;
  if (words.value || only.checked) search();
}

async function change(changes) {
  try {
    const told = await send("settings", changes);
    for (const key of [...Object.keys(changes.values ?? {}), ...(changes.reset ?? [])]) changed.delete(key);
    const needs = told.needs.map((need) => NEEDS[need]).filter(Boolean);
    toast(told.changed.length === 1 ? "Saved 1 setting." : `Saved ${told.changed.length} settings.`, "info");
    for (const need of needs) toast(need, "info");
    await load();
  } catch (error) {
    toast(error.message);
  }
}

export async function drawOptions(into) {
  panel = into;
  await load();
}
