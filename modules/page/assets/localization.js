// @ts-check
// The page in another language: texts, tooltips and placeholders that the language's file knows are replaced as they
// appear, wherever they come from.

import { translator } from "./translation.js";

const TEXTS = window.localization?.texts ?? {};
const ATTRIBUTES = ["title", "placeholder", "aria-label", "alt"];
// What people or models wrote is not the page's to translate.
const FOREIGN =
  ".infotext, [id$=_reading_html], textarea, script, style, pre, code, [role=listbox]:not(.shot-list), .file-preview, .no-translate";
// What the server has translated already: entries of lists.
const TRANSLATIONS = new Set(Object.values(TEXTS));
/** @type {Set<string>} */
const seen = new Set();
/** @type {WeakMap<Text, string>} */
const doneTexts = new WeakMap();
/** @type {WeakMap<Element, Record<string, string>>} */
const doneAttributes = new WeakMap();

const translated = translator(TEXTS);

/**
 * A question to the person, in the page's language: the browser's own dialog is no part of the page, where texts are found.
 * @param {string} question
 */
export const confirmed = (question) => confirm(translated(question) ?? question);

/**
 * @param {string} text
 * @returns {string}
 */
function changed(text) {
  const bare = text.trim();
  if (!bare || TRANSLATIONS.has(bare)) return text;
  if (bare.includes("\n")) return text.split("\n").map(changed).join("\n");
  seen.add(bare);
  const translation = translated(bare);
  return translation === undefined ? text : text.replace(bare, () => translation);
}

/** @param {Text} node */
function translateText(node) {
  if (doneTexts.get(node) === node.data || node.parentElement?.closest(FOREIGN)) return;
  const text = changed(node.data);
  if (text !== node.data) node.data = text;
  doneTexts.set(node, text);
}

/** @param {Element} element */
function translateAttributes(element) {
  if (element.closest(".no-translate")) return;
  for (const name of ATTRIBUTES) {
    const text = element.getAttribute(name);
    if (!text || doneAttributes.get(element)?.[name] === text) continue;
    const translation = changed(text);
    doneAttributes.set(element, { ...doneAttributes.get(element), [name]: translation });
    if (translation !== text) element.setAttribute(name, translation);
  }
}

/** @param {Node} node */
function translate(node) {
  if (node instanceof Text) translateText(node);
  else if (node instanceof Element) translateAttributes(node);
}

/** @param {Node} root */
function walk(root) {
  if (!(root instanceof Element)) return translate(root);
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = /** @type {Node | null} */ (root); node; node = walker.nextNode()) translate(node);
}

/**
 * Texts that were on the page, with their translations so far.
 * @param {string[]} more those that may come up yet
 */
export function template(more = []) {
  walk(document.body);
  const all = [...new Set([...more, ...seen])].filter((text) => /\p{L}{2}/u.test(text)).sort();
  return Object.fromEntries(all.map((text) => [text, TEXTS[text] ?? ""]));
}

// What was on the page and has no translation.
export const untranslated = () => [...seen].filter((text) => translated(text) === undefined && /\p{L}{2}/u.test(text));

export function translatePage() {
  if (!window.localization || !Object.keys(TEXTS).length) return;
  document.documentElement.lang = window.localization.name.slice(0, 2);
  new MutationObserver((records) => {
    for (const record of records) {
      if (record.type === "childList") record.addedNodes.forEach(walk);
      else translate(record.target);
    }
  }).observe(document.body, {
    childList: true,
    subtree: true,
    characterData: true,
    attributes: true,
    attributeFilter: ATTRIBUTES,
  });
  walk(document.body);
}
