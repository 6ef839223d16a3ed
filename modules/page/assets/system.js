// @ts-check
// The System page: versions, hardware, what was chosen for it and why, how the start went, and the last lines of the logs.

import { read } from "./client.js";
import { button, download, element } from "./dom.js";
import { toast } from "./messages.js";

/**
 * @param {string} title
 * @param {[string, string][]} pairs
 */
function facts(title, pairs) {
  const lines = pairs.flatMap(([name, value]) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: value }),
  ]);
  return element("section", {}, element("h2", { textContent: title }), element("dl", {}, ...lines));
}

/**
 * @param {string} title
 * @param {string[]} lines
 * @param {string} note
 */
function log(title, lines, note) {
  const text = element("pre", { textContent: lines.join("\n") || "(empty)", tabIndex: 0 });
  return element(
    "details",
    { className: "log" },
    element("summary", { textContent: title }),
    element("p", { textContent: note }),
    text,
  );
}

async function copy() {
  const text = JSON.stringify(await read("system-report"), null, 4);
  try {
    await navigator.clipboard.writeText(text);
    toast("System info was copied.", "info");
  } catch {
    // Browsers let pages copy over https and on this machine only.
    download("sysinfo.json", text);
  }
}

/**
 * Many are folded away: the facts come first then.
 * @param {string[]} notices
 */
function noticeLines(notices) {
  const lines = notices.map((text) => element("p", { className: "notice", textContent: text }));
  if (lines.length <= 3) return lines;
  return [
    element(
      "details",
      { className: "log" },
      element("summary", { textContent: `${lines.length} notices about the start` }),
      ...lines,
    ),
  ];
}

/**
 * @typedef {{
 *   sections: { title: string, facts: [string, string][] }[],
 *   notices: string[],
 *   logs: { title: string, lines: string[], note: string }[],
 * }} SystemReport
 */

/** @param {HTMLElement} into */
export async function drawSystem(into) {
  /** @type {SystemReport} */
  const { sections, notices, logs } = await read("system");
  const buttons = element(
    "div",
    { className: "settings-head" },
    button("Copy system info", copy, { id: "system_copy" }),
    button("Refresh", () => drawSystem(into), { id: "system_refresh" }),
  );
  const drawn = sections.map(({ title, facts: pairs }) => facts(title, pairs));
  into.replaceChildren(
    buttons,
    ...noticeLines(notices),
    ...drawn,
    ...logs.map(({ title, lines, note }) => log(title, lines, note)),
  );
}
