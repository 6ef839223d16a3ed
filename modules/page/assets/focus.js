// @ts-check
// The page never takes the focus or the scroll position from a person. Gradio's gallery focuses the thumbnail that it
// selects, whoever selected it, and the browser scrolls there: that happens here only to who is in the gallery already.

const THUMBNAIL = "[id$=_gallery] .thumbnail-item";

export function guardFocus() {
  const focus = HTMLElement.prototype.focus;
  /** @param {FocusOptions} [options] */
  HTMLElement.prototype.focus = function guarded(options) {
    if (!this.matches(THUMBNAIL)) return focus.call(this, options);
    const gallery = this.closest("[id$=_gallery]");
    if (gallery?.contains(document.activeElement)) focus.call(this, { ...options, preventScroll: true });
  };
}
