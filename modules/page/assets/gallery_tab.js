// @ts-check
// The Gallery tab in the page: it is built when the tab is opened first, and is reached from the results of the others.

/** @import { Shot } from "./gallery_types.js" */

import { Gallery } from "./gallery.js";
import { listenForShots } from "./gallery_drag.js";
import { toast } from "./messages.js";

/** @type {Gallery | null} */
let gallery = null;

// A tab's content stands in the page only once it has been opened.
function mount() {
  const root = document.getElementById("gallery_panel");
  if (root && gallery?.root !== root) gallery = new Gallery(root);
  return gallery;
}

/**
 * Open the tab and show a picture in it.
 * @param {string} name of its file
 * @param {string} address that its folder is part of
 * @param {HTMLElement | null} from the tab to go back to
 */
export async function showInGallery(name, address, from) {
  document.getElementById("tab_gallery-button")?.click();
  for (let tries = 0; !mount() && tries < 50; tries += 1) await new Promise((resolve) => setTimeout(resolve, 100));
  if (!gallery) return;
  await gallery.find(`name:"${name.replaceAll('"', '\\"')}"`);
  const index = bestMatch([...gallery.grid.items.entries()], name, address);
  if (index !== null) gallery.detail.open(index, from);
  else toast("The gallery does not know this picture yet; try again in a moment.", "info");
}

/**
 * The place of the picture whose folder the address names; of pictures in other folders the first.
 * @param {[number, Shot][]} entries
 * @param {string} name
 * @param {string} address
 */
export function bestMatch(entries, name, address) {
  const same = entries.filter(([, shot]) => shot.name === name);
  const folder = address.replace(/\/[^/]*$/, "");
  const found = same.find(([, shot]) => folder.endsWith(shot.folder)) ?? same[0];
  return found ? found[0] : null;
}

export function watchGallery() {
  listenForShots();
  new MutationObserver(mount).observe(document.body, { childList: true, subtree: true });
}
