// @ts-check
// Translating texts by a language's table. In a key, `{}` stands for anything, and comes back in the translation.

/** @param {string} text */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * A function that gives a text's translation, or undefined where the table has none.
 * @param {Record<string, string>} texts
 * @returns {(text: string) => string | undefined}
 */
export function translator(texts) {
  const patterns = Object.entries(texts)
    .filter(([key]) => key.includes("{}"))
    // Longer ones first: they say more about the text they fit.
    .sort(([one], [other]) => other.length - one.length)
    .map(([key, text]) => ({ pattern: new RegExp(`^${key.split("{}").map(escaped).join("([^]*?)")}$`), text }));

  /** @param {string} text */
  const exact = (text) => (Object.hasOwn(texts, text) ? texts[text] : undefined);

  /**
   * @param {string} text
   * @returns {string | undefined}
   */
  function translated(text) {
    const known = exact(text);
    if (known !== undefined) return known;
    for (const { pattern, text: translation } of patterns) {
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

  return translated;
}

/**
 * The English text behind one that is shown in the page's language.
 * @param {Record<string, string>} texts
 * @param {string} shown
 */
export const englishOf = (texts, shown) => Object.keys(texts).find((key) => texts[key] === shown) ?? shown;
