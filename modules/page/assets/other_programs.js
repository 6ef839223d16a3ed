// @ts-check
// Installations of other programs whose models are used where they lie: named, found nearby, forgotten.

/** @import { ProgramList, ProgramRow } from "./types.js" */

import { read } from "./client.js";
import { button, element, joined, need, send, sentence } from "./dom.js";
import { toast } from "./messages.js";

/** @param {HTMLDetailsElement} details */
export function watchPrograms(details) {
  const list = need(details, "ul", HTMLElement);
  const field = need(details, "input", HTMLInputElement);

  /** @param {Promise<ProgramList>} answer */
  async function show(answer) {
    try {
      const { used, nearby } = await answer;
      list.replaceChildren(...used.map(usedRow), ...nearby.map(nearbyRow));
      return true;
    } catch (error) {
      toast(sentence(error));
      return false;
    }
  }

  /** @param {string} folder */
  const use = (folder) => show(send("other-programs", { folder }));

  /** @param {ProgramRow} one */
  function usedRow(one) {
    const state = one.active ? "in use" : "from the next start of the program";
    const forget = button("Forget", () => show(send("other-programs", { folder: one.folder }, "DELETE")), {
      ariaLabel: `Forget: ${one.folder}`,
      hidden: one.by_flag,
    });
    return row(one, [state], forget);
  }

  /** @param {ProgramRow} one */
  const nearbyRow = (one) =>
    row(
      one,
      ["found"],
      button("Use", () => use(one.folder), { ariaLabel: `Use: ${one.folder}` }),
    );

  details.addEventListener("toggle", () => details.open && show(read("other-programs")));
  need(details, "form", HTMLFormElement).addEventListener("submit", async (event) => {
    event.preventDefault();
    if (field.value.trim() && (await use(field.value.trim()))) field.value = "";
  });
}

/**
 * @param {ProgramRow} one
 * @param {string[]} facts
 * @param {HTMLElement} action
 */
function row({ folder, kinds, cause }, facts, action) {
  const text = element("div", { className: "text" }, element("b", {}, folder));
  text.append(element("small", {}, ...joined([...facts, ...kinds])));
  if (cause) text.append(element("small", { className: "cause" }, cause));
  return element("li", {}, text, element("div", { className: "actions" }, action));
}
