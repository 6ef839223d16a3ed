// @ts-check
// Which pictures of the gallery are selected, by their ids: what a click, a range and a key make of it.

export class Selection extends EventTarget {
  constructor() {
    super();
    /** @type {Set<string>} */
    this.ids = new Set();
    /** @type {number | null} where the next range begins */
    this.anchor = null;
  }

  get size() {
    return this.ids.size;
  }

  /** @param {string} id */
  has(id) {
    return this.ids.has(id);
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {string} id
   * @param {number} index
   */
  toggle(id, index) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.anchor = index;
    this.changed();
  }

  /** @param {Iterable<string>} ids */
  add(ids) {
    for (const id of ids) this.ids.add(id);
    this.changed();
  }

  /** @param {Iterable<string>} ids that are not there any more */
  remove(ids) {
    for (const id of ids) this.ids.delete(id);
    this.changed();
  }

  clear() {
    this.anchor = null;
    if (!this.ids.size) return;
    this.ids.clear();
    this.changed();
  }

  /**
   * What an action is about: what is selected, else the picture at hand.
   * @param {string | undefined} id
   * @returns {string[]}
   */
  meant(id) {
    if (this.ids.size) return [...this.ids];
    return id === undefined ? [] : [id];
  }
}
