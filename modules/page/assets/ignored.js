// @ts-check
// Says beside settings, above the tabs and on the Settings tab, that they do nothing with the chosen checkpoint.

import { all, element } from "./dom.js";

const CLASS = "ignored-note";

/** @param {string} key */
const placesOf = (key) => [
  document.getElementById(`setting_${key}`),
  document.getElementById(`option_${key}`)?.closest(".setting"),
];

/** @param {Record<string, string>} ignored why, by the setting's key */
export function drawIgnored(ignored) {
  const notes = new Map(all(document, `.${CLASS}`).map((note) => [note.parentElement, note]));
  for (const [key, why] of Object.entries(ignored)) {
    for (const place of placesOf(key)) {
      if (!(place instanceof HTMLElement)) continue;
      const note = notes.get(place);
      notes.delete(place);
      if (note?.dataset.why === why) continue;
      note?.remove();
      const added = element("small", { className: CLASS, textContent: why });
      added.dataset.why = why;
      place.append(added);
      place.classList.add("ignored");
    }
  }
  for (const [place, note] of notes) {
    place?.classList.remove("ignored");
    note.remove();
  }
}
