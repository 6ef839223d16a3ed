// @ts-check
// Which settings are meant by some words, best first; no page in here.

/**
 * What can be found of a setting: its words as declared, `shown` as they stand on the page (in its language), and what
 * its menus offer.
 * @typedef {{ key: string, label: string, hint: string, section: string, shown?: string, menu?: string[] }} Searchable
 */

// Words that mean the same to whoever looks for a setting. Each finds what has another of its line.
const SYNONYMS = [
  "dark light bright night theme appearance colours colors dunkel hell",
  "output outputs outdir destination",
  "folder folders directory directories dir dirs outdir path paths location ordner",
  "color colour colors colours farbe",
  "picture pictures image images photo photos img bild bilder",
  "checkpoint checkpoints model models ckpt safetensors modell",
  "name names filename filenames file files",
  "save saves saved saving store keep export",
  "hires highres upscale upscaler upscaling upscaled resize scale enlarge",
  "memory ram vram lowvram medvram cache gpu",
  "speed fast faster slow performance optimization optimizations",
  "fp16 fp32 bf16 bfloat16 half precision bits upcast",
  "fp8 quantization weights bits",
  "face faces gfpgan codeformer restore restoration",
  "lora loras lycoris network networks",
  "embedding embeddings textual inversion",
  "preview previews live progress",
  "language translation localization locale sprache",
  "metadata parameters infotext pnginfo exif geninfo",
  "clip skip layers",
  "jpeg jpg",
  "webp avif png format formats",
  "negative uncond",
  "prompt conditioning cond",
  "grid grids sheet contact",
  "mask masks inpaint inpainting",
  "hide hidden show shown visible",
  "tab tabs page layout order",
  "tile tiles tiling tiled seamless",
  "emphasis attention weight weights brackets parentheses",
  "noise eta churn",
  "sampler samplers scheduler schedule sampling",
  "queue jobs job waiting",
  "shortcut shortcuts hotkey hotkeys keyboard keys ctrl",
  "notification sound warn warning warnings",
  "user login account",
  "browser launch start startup",
].map((line) => line.split(" "));

// They say nothing about a setting where other words do.
const SMALL = new Set(
  "a an the of for in on off to and or with is by at my how where what turn der die das von und im".split(" "),
);

const EXACT = 1;
const FORM = 0.9;
const BEGINS = 0.7;
const MEANS = 0.5;
const INSIDE = 0.25;
const WEIGHTS = /** @type {const} */ ({ label: 8, shown: 8, key: 7, hint: 4, section: 2 });

/**
 * @param {string} text
 * @returns {string[]}
 */
export const wordsOf = (text) =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean);

/**
 * A word without the endings of number and tense; the rest need not be a word.
 * @param {string} word
 */
const stem = (word) => (word.length > 3 ? word.replace(/(?:ing|ed|s)$/, "") : word);

/**
 * How well a word that was typed fits one that stands there, 0 to 1.
 * @param {string} typed
 * @param {Set<string>} alike others with the same meaning
 * @param {string} there
 */
function fit(typed, alike, there) {
  if (there === typed) return EXACT;
  if (stem(there) === stem(typed)) return FORM;
  if (there.startsWith(typed)) return BEGINS;
  if (alike.has(there)) return MEANS;
  return typed.length > 3 && there.includes(typed) ? INSIDE : 0;
}

/**
 * Others with the same meaning.
 * @param {string} typed
 */
function synonyms(typed) {
  const groups = SYNONYMS.filter((words) => words.some((word) => word === typed || stem(word) === stem(typed)));
  return new Set(groups.flat());
}

/**
 * How well a setting answers words, and how many of them only its menu has; null where one of them is nowhere.
 * @param {Searchable} setting
 * @param {[string, Set<string>][]} typed words, each with those of the same meaning
 * @returns {{ score: number, inMenu: number } | null}
 */
function rate(setting, typed) {
  const fields = Object.entries(WEIGHTS).map(
    ([name, weight]) =>
      /** @type {const} */ ([weight, wordsOf(setting[/** @type {keyof typeof WEIGHTS} */ (name)] ?? "")]),
  );
  const menu = (setting.menu ?? []).flatMap(wordsOf);
  let score = 0;
  let inMenu = 0;
  for (const [word, alike] of typed) {
    const best = Math.max(
      ...fields.flatMap(([weight, words]) => words.map((there) => weight * fit(word, alike, there))),
    );
    if (best > 0) score += best;
    else if (menu.some((there) => fit(word, new Set(), there) >= BEGINS)) inMenu += 1;
    else return null;
  }
  // Of settings with the same words, the one that says little else is meant.
  return { score: score - wordsOf(setting.label).length / 100, inMenu };
}

/**
 * Positions of the settings with all words of `query`, best first; all of them where nothing is looked for. A setting
 * with a word only in its menu comes after those that are about it.
 * @param {Searchable[]} settings
 * @param {string} query
 * @returns {number[]}
 */
export function searchSettings(settings, query) {
  const all = [...new Set(wordsOf(query))];
  const significant = all.filter((word) => !SMALL.has(word));
  const typed = (significant.length ? significant : all).map(
    (word) => /** @type {[string, Set<string>]} */ ([word, synonyms(word)]),
  );
  if (!typed.length) return settings.map((_, index) => index);
  const found = settings.flatMap((setting, index) => {
    const rating = rate(setting, typed);
    return rating ? [{ index, ...rating }] : [];
  });
  found.sort((one, other) => one.inMenu - other.inMenu || other.score - one.score || one.index - other.index);
  return found.map(({ index }) => index);
}
