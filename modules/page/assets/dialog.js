// @ts-check
// Dialogs of the page's scripts: they come with their title and are gone when they are closed.

import { button, element, need, sentence } from "./dom.js";

/**
 * @param {string} title
 * @param {string} className
 * @param {{ foreign?: boolean }} how `foreign` says that the title is nothing to translate: a file's name
 */
export function openDialog(title, className, { foreign = false } = {}) {
  const heading = element("h2", { textContent: title, id: `${className}_title` });
  if (foreign) heading.className = "no-translate";
  const dialog = element("dialog", { className: `webui-dialog ${className}` }, heading);
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.addEventListener("close", () => dialog.remove());
  need(document, ".gradio-container", HTMLElement).append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * A dialog that wants one thing to be typed or chosen; what went wrong stands in it.
 * @param {string} title
 * @param {string} press what its button says
 * @param {HTMLElement[]} content
 * @param {() => Promise<void>} done
 */
export function formDialog(title, press, content, done) {
  const dialog = openDialog(title, "form-dialog");
  const said = element("output", { className: "error" });
  const submit = element("button", { type: "submit", className: "primary", textContent: press });
  const buttons = element(
    "div",
    { className: "dialog-buttons" },
    submit,
    button("Cancel", () => dialog.close()),
  );
  const form = element("form", {}, ...content, said, buttons);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      await done();
      dialog.close();
    } catch (error) {
      said.textContent = sentence(error);
      submit.disabled = false;
    }
  });
  dialog.append(form);
  const first = form.querySelector("input, select");
  if (first instanceof HTMLElement) first.focus();
  return dialog;
}
