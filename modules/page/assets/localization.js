// The page in another language: texts, tooltips and placeholders that the language's file knows are replaced as they
// appear, wherever they come from. In a key, `{}` stands for anything, and comes back in the translation.

const TEXTS = window.localization?.texts ?? {};
const ATTRIBUTES = ["title", "placeholder", "aria-label", "alt"];
// What people or models wrote is not the page's to translate.
const FOREIGN = ".infotext, [id$=_reading_html], textarea, script, style, pre, code, [role=listbox], .file-preview, .no-translate";
const seen = new Set();
const done = new WeakMap();

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const PATTERNS = Object.entries(TEXTS)
  .filter(([key]) => key.includes("{}"))
  // Longer ones first: they say more about the text they fit.
  .sort(([one], [other]) => other.length - one.length)
  .map(([key, text]) => [new RegExp(`^${key.split("{}").map(escaped).join("([^]*?)")}$`), text]);

function fitted(text) {
  for (const [pattern, translation] of PATTERNS) {
    const found = pattern.exec(text);
    if (!found) continue;
    let next = 1;
    return translation.replace(/\{(\d*)\}/g, (_, number) => {
      const part = found[number ? Number(number) : next++] ?? "";
      return translated(part) ?? part;
    });
  }
  return undefined;
}

function translated(text) {
  return TEXTS[text] ?? fitted(text);
}

function changed(text) {
  const bare = text.trim();
  if (!bare) return text;
  if (bare.includes("\n")) return text.split("\n").map(changed).join("\n");
  seen.add(bare);
  const translation = translated(bare);
  return translation === undefined ? text : text.replace(bare, () => translation);
}

function translateText(node) {
  if (done.get(node) === node.data || node.parentElement?.closest(FOREIGN)) return;
  const text = changed(node.data);
  if (text !== node.data) node.data = text;
  done.set(node, text);
}

function translateAttributes(element) {
  if (element.closest(".no-translate")) return;
  for (const name of ATTRIBUTES) {
    const text = element.getAttribute(name);
    if (!text || done.get(element)?.[name] === text) continue;
    const translation = changed(text);
    done.set(element, { ...done.get(element), [name]: translation });
    if (translation !== text) element.setAttribute(name, translation);
  }
}

function walk(root) {
  if (root.nodeType === Node.TEXT_NODE) return translateText(root);
  if (root.nodeType !== Node.ELEMENT_NODE) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = root; node; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) translateText(node);
    else translateAttributes(node);
  }
}

// Texts that were on the page, with their translations so far; `more` are those that may come up yet.
export function template(more = []) {
  walk(document.body);
  const all = [...new Set([...more, ...seen])].filter((text) => /\p{L}{2}/u.test(text)).sort();
  return Object.fromEntries(all.map((text) => [text, TEXTS[text] ?? ""]));
}

// What was on the page and has no translation.
export const untranslated = () => [...seen].filter((text) => translated(text) === undefined && /\p{L}{2}/u.test(text));

export function translatePage() {
  if (!Object.keys(TEXTS).length) return;
  document.documentElement.lang = window.localization.name.slice(0, 2);
  new MutationObserver((records) => {
    for (const record of records) {
      if (record.type === "childList") record.addedNodes.forEach(walk);
      else if (record.type === "characterData") translateText(record.target);
      else translateAttributes(record.target);
    }
  }).observe(document.body, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
  walk(document.body);
}
