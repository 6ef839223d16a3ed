// @ts-check
// Differences of parameters, drawn: what is new is underlined, what is gone struck through.

/** @import { Part } from "./differences.js" */

import { fieldChanges, ownChanges, wordDifferences } from "./differences.js";
import { element } from "./dom.js";

/**
 * @param {Part[]} parts
 * @returns {(Node | string)[]}
 */
export const marked = (parts) =>
  parts.map(({ kind, text }) =>
    kind === "same" ? text : element(kind === "added" ? "ins" : "del", { textContent: text }),
  );

/** @typedef {{ letter: string, name: string, prompt: string, negative_prompt: string, fields: Record<string, string> }} Compared */

/**
 * What several pictures don't share: the first one's whole, the others' against it.
 * @param {Compared[]} shots
 */
export function changesTable(shots) {
  const [first, ...others] = shots;
  const keys = new Set(
    others.flatMap((other) => ownChanges(fieldChanges(first.fields, other.fields)).map(({ key }) => key)),
  );
  /** @type {[string, (shot: Compared) => string, boolean][]} title, what it says of a picture, whether it is the page's own */
  const rows = [
    ["Prompt", ({ prompt }) => prompt, false],
    ["Negative prompt", ({ negative_prompt: negative }) => negative, false],
    ...[...keys].map(
      (key) =>
        /** @type {[string, (shot: Compared) => string, boolean]} */ ([key, ({ fields }) => fields[key] ?? "", true]),
    ),
  ];
  const different = rows.filter(([, says]) => others.some((other) => says(other) !== says(first)));
  if (!different.length) return element("p", { textContent: "All parameters are the same." });
  const body = different.map(([title, says, foreign]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", textContent: title, className: foreign ? "no-translate" : "" }),
      ...shots.map((shot) =>
        element(
          "td",
          { className: "no-translate" },
          ...marked(shot === first ? [{ kind: "same", text: says(first) }] : wordDifferences(says(first), says(shot))),
        ),
      ),
    ),
  );
  const heads = shots.map(({ letter, name }) =>
    element("th", { scope: "col", className: "no-translate" }, `${letter} `, element("small", { textContent: name })),
  );
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, element("td"), ...heads)),
    element("tbody", {}, ...body),
  );
  const scroller = element(
    "div",
    { className: "compare-table", tabIndex: 0, role: "region", ariaLabel: "Parameters that differ" },
    table,
  );
  return scroller;
}
