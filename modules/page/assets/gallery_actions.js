// @ts-check
// What is done with the gallery's pictures: marks, tags, boards, files, trash. Each says what went wrong in one sentence.

/** @import { Counted, Marks, Shot } from "./gallery_types.js" */

import { formDialog } from "./dialog.js";
import { button, download, element, sentence } from "./dom.js";
import * as api from "./gallery_api.js";
import { numberText } from "./gallery_text.js";
import { confirmed } from "./localization.js";
import { offer, toast } from "./messages.js";

/** What an action needs of the gallery. @typedef {{
 *   shots: (ids: string[]) => Shot[],
 *   patch: (ids: string[], change: (shot: Shot) => Partial<Shot>) => void,
 *   gone: (ids: string[]) => void,
 *   reload: () => Promise<void>,
 *   takeFocus: () => void,
 * }} Gallery */

const NAME_PATTERN = "[datetime<%Y-%m-%d>]-[seed]-[prompt_words]";

/** @param {number} count */
const pictures = (count) => (count === 1 ? "1 picture" : `${numberText(count)} pictures`);

/**
 * @param {string} text a list as people type it
 */
const listed = (text) => [
  ...new Set(
    text
      .split(",")
      .map((one) => one.trim())
      .filter(Boolean),
  ),
];

/**
 * An entry of a list whose text is a person's own.
 * @param {string} text
 * @param {string} value
 */
const ownOption = (text, value = text) => element("option", { textContent: text, value, className: "no-translate" });

export class Actions {
  /** @param {Gallery} gallery */
  constructor(gallery) {
    this.gallery = gallery;
  }

  /** @param {() => Promise<void>} act */
  async attempt(act) {
    try {
      await act();
    } catch (error) {
      toast(sentence(error));
    }
  }

  /**
   * @param {string[]} ids
   * @param {Marks} marks
   */
  async mark(ids, marks) {
    await api.mark(ids, marks);
    const { rating, favourite, add_tags = [], remove_tags = [] } = marks;
    this.gallery.patch(ids, (shot) => ({
      ...(rating === undefined ? {} : { rating }),
      ...(favourite === undefined ? {} : { favourite }),
      tags: [...new Set([...shot.tags.filter((tag) => !remove_tags.includes(tag)), ...add_tags])],
    }));
  }

  /**
   * @param {string[]} ids
   * @param {number} rating 0 takes it away
   */
  rate(ids, rating) {
    return this.attempt(() => this.mark(ids, { rating }));
  }

  /** All become favourites, unless all are: then none is. @param {string[]} ids */
  favourite(ids) {
    const known = this.gallery.shots(ids);
    // Of a long selection those far away are not known here: they may be none.
    const all = known.length === ids.length && known.every(({ favourite }) => favourite);
    return this.attempt(() => this.mark(ids, { favourite: !all }));
  }

  /**
   * @param {string[]} ids
   * @param {string[]} tags
   */
  tag(ids, tags, remove = false) {
    return this.attempt(() => this.mark(ids, remove ? { remove_tags: tags } : { add_tags: tags }));
  }

  /** @param {string[]} ids */
  async askForTags(ids) {
    const known = await api.facets("").catch(() => null);
    const names = element(
      "datalist",
      { id: "gallery_tags" },
      ...(known?.tags ?? []).map(({ name }) => ownOption(name)),
    );
    const input = element("input", { name: "tags", autocomplete: "off", placeholder: "cat, night" });
    input.setAttribute("list", names.id);
    const own = [...new Set(this.gallery.shots(ids).flatMap(({ tags }) => tags))].sort();
    const chips = own.map((tag) => {
      const chip = button(tag, () => this.tag(ids, [tag], true).then(() => chip.remove()), {
        className: "chip no-translate",
        title: "Remove this tag",
      });
      return chip;
    });
    formDialog(
      "Tags",
      "Add",
      [
        element("label", {}, element("span", { textContent: "New tags, with commas between them" }), input),
        names,
        element("div", { className: "chips" }, ...chips),
      ],
      async () => {
        const tags = listed(input.value);
        if (!tags.length) throw new Error("Type a tag first.");
        await this.mark(ids, { add_tags: tags });
        await this.gallery.reload();
      },
    );
  }

  /** @param {string[]} ids */
  async askForBoard(ids) {
    const known = await api.boards().catch(() => []);
    const select = element(
      "select",
      { name: "board" },
      new Option("A new board", ""),
      ...known.map(({ id, name }) => ownOption(name, id)),
    );
    select.value = known[0]?.id ?? "";
    const input = element("input", { name: "name", autocomplete: "off" });
    const naming = element(
      "label",
      { hidden: select.value !== "" },
      element("span", { textContent: "Name of the new board" }),
      input,
    );
    select.addEventListener("change", () => {
      naming.hidden = select.value !== "";
    });
    formDialog(
      "Put on a board",
      "Put there",
      // Where there is none to choose, the field for the first one's name comes at once.
      [...(known.length ? [element("label", {}, element("span", { textContent: "Board" }), select)] : []), naming],
      async () => {
        const board = select.value || (await this.addBoard(input.value)).id;
        await this.putOnBoard(board, ids);
      },
    );
  }

  /** @param {string} name */
  addBoard(name) {
    if (!name.trim()) throw new Error("Give the board a name first.");
    return api.addBoard(name.trim());
  }

  /**
   * @param {string} board
   * @param {string[]} ids
   */
  async putOnBoard(board, ids) {
    await api.putOnBoard(board, ids);
    toast(`${pictures(ids.length)} put on the board.`, "info");
    await this.gallery.reload();
  }

  newBoard() {
    const input = element("input", { name: "name", autocomplete: "off" });
    formDialog(
      "New board",
      "Create",
      [element("label", {}, element("span", { textContent: "Name" }), input)],
      async () => {
        await this.addBoard(input.value);
        await this.gallery.reload();
      },
    );
  }

  /** @param {Counted} board */
  renameBoard({ id = "", name }) {
    const input = element("input", { name: "name", autocomplete: "off", value: name });
    formDialog(
      "Rename the board",
      "Rename",
      [element("label", {}, element("span", { textContent: "Name" }), input)],
      async () => {
        await api.renameBoard(id, input.value.trim());
        await this.gallery.reload();
      },
    );
  }

  /** @param {Counted} board */
  deleteBoard({ id = "", name }) {
    if (!confirmed(`Delete the board ${name}? Its pictures stay where they are.`)) return;
    return this.attempt(async () => {
      await api.deleteBoard(id);
      await this.gallery.reload();
    });
  }

  /**
   * @param {"move" | "copy"} what
   * @param {string[]} ids
   */
  async askForFolder(what, ids) {
    const { folders } = await api.facets("").catch(() => ({ folders: [] }));
    const select = element("select", { name: "folder" }, ...folders.map(({ id = "", name }) => ownOption(name, id)));
    const title = what === "move" ? "Move to a folder" : "Copy to a folder";
    formDialog(
      title,
      what === "move" ? "Move" : "Copy",
      [element("label", {}, element("span", { textContent: "Folder" }), select)],
      () => this.relocate(what, ids, select.value),
    );
  }

  /**
   * @param {"move" | "copy"} what
   * @param {string[]} ids
   * @param {string} folder
   */
  async relocate(what, ids, folder) {
    const { refused = {} } = (await api.relocate(what, ids, folder)) ?? {};
    this.say(ids.length - Object.keys(refused).length, refused, what === "move" ? "moved" : "copied");
    await this.gallery.reload();
  }

  /**
   * @param {number} count that it was done to
   * @param {Record<string, string>} refused by id, why not
   * @param {"moved" | "copied" | "renamed"} what
   */
  say(count, refused, what) {
    for (const reason of new Set(Object.values(refused))) toast(reason);
    const said = {
      moved: `${pictures(count)} moved.`,
      copied: `${pictures(count)} copied.`,
      renamed: `${pictures(count)} renamed.`,
    };
    if (count > 0) toast(said[what], "info");
  }

  /** @param {string[]} ids */
  askForName(ids) {
    const input = element("input", { name: "pattern", autocomplete: "off", value: NAME_PATTERN });
    formDialog(
      "Rename",
      "Rename",
      [
        element("p", {
          textContent:
            "The pattern takes the words of the settings for file names: [seed], [prompt], [model_name], [width], [datetime] and others.",
        }),
        element("label", {}, element("span", { textContent: "Pattern" }), input),
      ],
      async () => {
        const { refused = {} } = (await api.rename(ids, input.value)) ?? {};
        this.say(ids.length - Object.keys(refused).length, refused, "renamed");
        await this.gallery.reload();
      },
    );
  }

  /** @param {string[]} ids */
  zip(ids) {
    return this.attempt(async () => download("pictures.zip", await api.zip(ids)));
  }

  /** @param {string[]} ids */
  remove(ids) {
    return this.attempt(async () => {
      const { trashed, refused } = await api.trash(ids);
      for (const reason of new Set(Object.values(refused))) toast(reason);
      if (!trashed.length) return;
      this.gallery.gone(trashed);
      offer(`${pictures(trashed.length)} moved to the trash.`, "Undo", () => this.restore(trashed));
      await this.gallery.reload();
    });
  }

  /** @param {string[]} ids */
  restore(ids) {
    return this.attempt(async () => {
      await api.restore(ids);
      this.gallery.gone(ids);
      toast(`${pictures(ids.length)} restored.`, "info");
      await this.gallery.reload();
      this.gallery.takeFocus();
    });
  }

  emptyTrash() {
    if (!confirmed("Delete all pictures in the trash for good?")) return;
    return this.attempt(async () => {
      const { later = 0, refused = {} } = (await api.emptyTrash()) ?? {};
      for (const reason of new Set(Object.values(refused))) toast(String(reason));
      if (later) toast(`${pictures(later)} more are deleted in the next minutes, while nothing else is to do.`, "info");
      await this.gallery.reload();
    });
  }
}
