// @ts-check
// The Defaults page: what ui-config.json makes the controls start with, and the values on the page as new defaults.

import { button, element, need, reloadPage, sentence } from "./dom.js";
import { confirmed } from "./localization.js";
import { toast } from "./messages.js";

/**
 * A control with two values, and which of its limits differ.
 * @typedef {{ tab: string, label: string, script: string, before: unknown, after: unknown, limits: string[] }} Row
 */

/** @type {HTMLElement} */
let panel;
/** @type {string[][]} tab, label and script of the controls that a press was about */
let chosen = [];

export const defaultsChosen = () => JSON.stringify(chosen);

// The controls' values reach the server through Gradio's own events.
/** @param {"look" | "save" | "reset"} action */
const ask = (action) => need(document, `#defaults_${action}`, HTMLElement).click();

// Controls of scripts have names that others have as well.
/** @param {Row} row */
const tabOf = (row) => (row.script ? `${row.tab}: ${row.script}` : row.tab);
/** @param {unknown} value */
const shown = (value) =>
  value === "" ? "(empty)" : Array.isArray(value) ? value.join(", ") || "(empty)" : String(value);

/** @param {Row} row */
const withLimits = (row) =>
  element(
    "span",
    {},
    shown(row.after),
    ...row.limits.flatMap((text) => [", ", element("span", { textContent: text })]),
  );

/**
 * @param {string} id
 * @param {string[]} head
 * @param {(string | Node)[][]} rows
 */
function table(id, head, rows) {
  /**
   * @param {"td" | "th"} kind
   * @param {(string | Node)[]} texts
   */
  const cells = (kind, texts) =>
    texts.map((text) => (text instanceof Node ? element("td", {}, text) : element(kind, { textContent: text })));
  const body = rows.map((texts) => element("tr", {}, ...cells("td", texts)));
  return element(
    "table",
    { id },
    element("thead", {}, element("tr", {}, ...cells("th", head))),
    element("tbody", {}, ...body),
  );
}

/** @param {Row[]} rows */
function reset(rows) {
  chosen = rows.map((row) => [row.tab, row.label, row.script]);
  ask("reset");
}

/** @param {Row} row */
function resetButton(row) {
  return button("↺", () => reset([row]), { className: "reset", title: "Back to the control's own default" });
}

/** @param {{ changes: Row[], own: Row[], notices: string[] }} answer */
function draw({ changes, own, notices }) {
  /** @type {HTMLElement[]} */
  const parts = [element("h2", { textContent: "Values on the page that differ from its defaults" })];
  if (changes.length) {
    parts.push(
      table(
        "defaults_changes",
        ["Tab", "Control", "Default", "On the page"],
        changes.map((row) => [tabOf(row), row.label, shown(row.before), shown(row.after)]),
      ),
    );
    parts.push(button("Save these as defaults", () => ask("save"), { id: "defaults_apply", className: "primary" }));
  } else
    parts.push(element("p", { textContent: "None: change something in txt2img, img2img or Extras, then come back." }));
  parts.push(element("h2", { textContent: "Defaults of your own (ui-config.json)" }));
  if (own.length) {
    const rows = own.map((row) => [tabOf(row), row.label, shown(row.before), withLimits(row), resetButton(row)]);
    parts.push(table("defaults_own", ["Tab", "Control", "Built in", "Yours", ""], rows));
    parts.push(
      button("Reset all defaults", () => confirmed("Give every control its built-in default again?") && reset(own), {
        id: "defaults_reset_all",
      }),
    );
  } else parts.push(element("p", { textContent: "None: every control starts with its built-in default." }));
  parts.push(...notices.map((text) => element("p", { className: "notice", textContent: text })));
  const fresh = button("Fill the forms with the defaults", forget, { id: "defaults_fill" });
  fresh.title = "Prompts and other values on the page are forgotten";
  parts.push(element("h2", { textContent: "This browser" }), fresh);
  panel.replaceChildren(...parts);
}

function forget() {
  if (!confirmed("Forget what stands in the forms of this browser?")) return;
  for (const tab of ["txt2img", "img2img"]) localStorage.removeItem(`webui-${tab}`);
  location.reload();
}

/** @param {string} text the server's answer, as JSON */
export function defaultsAnswered(text) {
  const answer = JSON.parse(text || "{}");
  if (answer.error) return toast(answer.error);
  if (answer.changes) return draw(answer);
  // The file was written: a page that is built from it shows it.
  return reloadPage().catch((error) => toast(sentence(error)));
}

/** @param {HTMLElement} into */
export async function drawDefaults(into) {
  panel = into;
  ask("look");
}
