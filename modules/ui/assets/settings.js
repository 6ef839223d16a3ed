// The Settings tab: drawn from the server's table of options when it is first opened; only what was changed is sent.

import { read, url } from "./client.js";
import { toast } from "./messages.js";

const panel = () => document.getElementById("settings_panel");
const changed = new Map();
let sections = [];

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function listed(text) {
  return text.split(",").map((part) => part.trim()).filter(Boolean);
}

// One control for an option, and how its value is read from it.
function control(option) {
  const id = `option_${option.key}`;
  const common = { id, disabled: option.frozen };
  if (option.kind === "switch") {
    const box = element("input", { ...common, type: "checkbox", checked: Boolean(option.value) });
    return [box, () => box.checked];
  }
  if (option.choices.length && option.kind !== "texts") {
    const names = option.choices.includes(option.value) ? option.choices : [option.value ?? "", ...option.choices];
    const select = element("select", common, ...names.map((name) => new Option(name, name, false, name === option.value)));
    return [select, () => select.value];
  }
  if (option.kind === "whole" || option.kind === "number") {
    const limits = { min: option.minimum ?? "", max: option.maximum ?? "", step: option.step ?? "any" };
    const field = element("input", { ...common, type: "number", value: option.value, ...limits });
    return [field, () => field.valueAsNumber];
  }
  const shown = option.kind === "texts" ? (option.value ?? []).join(", ") : (option.value ?? "");
  const field = element("input", { ...common, type: option.kind === "colour" ? "color" : "text", value: shown });
  return [field, () => (option.kind === "texts" ? listed(field.value) : field.value)];
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function row(option) {
  const [input, value] = control(option);
  const reset = element("button", { type: "button", className: "reset", title: "Back to the default", textContent: "↺" });
  const label = element("label", { htmlFor: input.id, textContent: option.label });
  const line = element("div", { className: "setting" }, label, element("span", {}, input, reset));
  line.dataset.words = `${option.label} ${option.key} ${option.hint}`.toLowerCase();
  const hint = [option.hint, option.restart ? "Applies after a restart." : ""].filter(Boolean).join(" ");
  line.append(element("small", { textContent: `${option.key}${hint ? ` · ${hint}` : ""}` }));
  const mark = () => line.classList.toggle("other", !same(changed.has(option.key) ? changed.get(option.key) : option.value, option.default));
  input.addEventListener("input", () => {
    if (same(value(), option.value)) changed.delete(option.key);
    else changed.set(option.key, value());
    mark();
    count();
  });
  reset.addEventListener("click", () => send({ reset: [option.key] }));
  mark();
  return line;
}

function count() {
  const button = document.getElementById("settings_apply");
  button.textContent = changed.size ? `Apply ${changed.size} change${changed.size > 1 ? "s" : ""}` : "Apply settings";
  button.disabled = !changed.size;
}

function search(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of panel().querySelectorAll("details")) {
    let found = 0;
    for (const line of section.querySelectorAll(".setting")) {
      line.hidden = !wanted.every((word) => line.dataset.words.includes(word));
      found += !line.hidden;
    }
    section.hidden = !found;
    section.open = wanted.length > 0;
  }
}

function draw() {
  changed.clear();
  const find = element("input", { type: "search", id: "settings_search", placeholder: "Search settings by name or key", ariaLabel: "Search settings" });
  find.addEventListener("input", () => search(find.value));
  const apply = element("button", { type: "button", id: "settings_apply", className: "primary", disabled: true, textContent: "Apply settings" });
  apply.addEventListener("click", () => send({ values: Object.fromEntries(changed) }));
  const drawn = sections.map(({ section, title, options }) => {
    const all = element("button", { type: "button", className: "reset", textContent: "Reset this section" });
    all.addEventListener("click", () => send({ reset: options.filter((one) => !one.frozen).map((one) => one.key) }));
    const folded = element("details", {}, element("summary", { textContent: `${title} (${options.length})` }), ...options.map(row), all);
    folded.dataset.section = section;
    return folded;
  });
  const open = [...panel().querySelectorAll("details[open]")].map((one) => one.dataset.section);
  panel().replaceChildren(element("div", { className: "settings-head" }, find, apply), ...drawn);
  for (const one of panel().querySelectorAll("details")) one.open = open.includes(one.dataset.section);
}

async function load() {
  sections = await read("settings");
  draw();
}

async function send(changes) {
  const words = document.getElementById("settings_search").value;
  const body = JSON.stringify(changes);
  const answer = await fetch(url("settings"), { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) return toast(String(told.detail ?? `The server refused this (${answer.status}).`), "error");
  toast(told.restart ? "Saved. Something of it applies after a restart." : `Saved ${told.changed.length} setting(s).`, "info");
  await load();
  document.getElementById("settings_search").value = words;
  if (words) search(words);
}

// The tab's content stands in the page only once it has been opened.
export function watchSettings() {
  new MutationObserver(() => {
    const frame = panel();
    if (!frame || frame.dataset.drawn) return;
    frame.dataset.drawn = "yes";
    load().catch((error) => (frame.textContent = `The settings can't be read: ${error.message}`));
  }).observe(document.body, { childList: true, subtree: true });
}
