// @ts-check
// Above the gallery's pictures while some are selected: what can be done with them.

/** @import { Shot } from "./gallery_types.js" */
/** @import { Actions } from "./gallery_actions.js" */
/** @import { Selection } from "./gallery_selection.js" */

import { button, element } from "./dom.js";
import { signButton } from "./gallery_icons.js";
import { numberText } from "./gallery_text.js";

const STARS = ["No stars", "★", "★★", "★★★", "★★★★", "★★★★★"];

export class SelectionBar {
  /**
   * @param {Selection} selection
   * @param {Actions} actions
   * @param {{ shots: (ids: string[]) => Shot[], compare: (ids: string[]) => void }} gallery
   */
  constructor(selection, actions, { shots, compare }) {
    this.selection = selection;
    this.shots = shots;
    this.inTrash = false;
    this.count = element("span", { className: "selection-count" });
    const ids = () => [...selection.ids];
    this.comparing = button("Compare", () => compare(ids()));
    this.rating = element(
      "select",
      { ariaLabel: "Rate" },
      new Option("Rate…", ""),
      ...STARS.map((stars, rating) => new Option(stars, String(rating))),
    );
    const { rating } = this;
    rating.addEventListener("change", () => {
      if (rating.value) actions.rate(ids(), Number(rating.value));
      rating.value = "";
    });
    this.usual = element(
      "span",
      { className: "selection-actions" },
      this.comparing,
      button("Favourite", () => actions.favourite(ids())),
      rating,
      button("Tags", () => actions.askForTags(ids())),
      button("Board", () => actions.askForBoard(ids())),
      button("Move", () => actions.askForFolder("move", ids())),
      button("Copy", () => actions.askForFolder("copy", ids())),
      button("Rename", () => actions.askForName(ids())),
      button("Zip", () => actions.zip(ids())),
      button("Delete", () => actions.remove(ids()), { className: "danger" }),
    );
    this.trashed = element(
      "span",
      { className: "selection-actions", hidden: true },
      button("Restore", () => actions.restore(ids())),
    );
    const clear = signButton("close", "Select nothing (Esc)", () => selection.clear());
    this.root = element(
      "div",
      { className: "selection-bar", role: "toolbar", ariaLabel: "Selected pictures", hidden: true },
      clear,
      this.count,
      this.usual,
      this.trashed,
    );
    selection.addEventListener("change", () => this.draw());
  }

  draw() {
    const { size } = this.selection;
    this.root.hidden = !size;
    this.count.textContent = size === 1 ? "1 selected" : `${numberText(size)} selected`;
    this.comparing.disabled = size < 2 || size > 4;
    this.usual.hidden = this.inTrash;
    this.trashed.hidden = !this.inTrash;
  }
}
