// @ts-check
// The styles dialog behind the pencil, A1111's: choose or name a style, edit its texts, save, delete, put it to use.

/** @import { Kind, Style } from "./types.js" */

import { read } from "./client.js";
import { button, element, find, need, send, sentence, typeInto } from "./dom.js";
import { confirmed } from "./localization.js";

const HELP =
  "Where a text holds {prompt}, your prompt takes its place; without it, the text is put behind your prompt.";
/** @type {HTMLDialogElement} */
let dialog;
let mode = "txt2img";
/** @type {Style[]} */
let styles = [];

/** @param {string} part */
const input = (part) => need(document, `#${mode}_${part}`, HTMLInputElement);
/** @param {string} part */
const area = (part) => need(document, `#${mode}_${part}`, HTMLTextAreaElement);
const removal = () => need(document, `#${mode}_edit_style_delete`, HTMLButtonElement);
const prompts = () =>
  ["prompt", "neg_prompt"].map((name) => need(document, `#${mode}_${name} textarea`, HTMLTextAreaElement));
const typed = () => ({
  name: input("styles_edit_select").value,
  prompt: area("edit_style_prompt").value,
  negative_prompt: area("edit_style_neg_prompt").value,
});

/**
 * @param {string} text
 * @param {Kind} kind
 */
function say(text, kind = "info") {
  const note = need(dialog, "output", HTMLOutputElement);
  note.className = kind;
  note.textContent = text;
}

/**
 * @param {string} text
 * @param {HTMLElement} control
 */
function labelled(text, control) {
  return element("label", {}, element("span", { textContent: text }), control);
}

function fill() {
  const names = need(document, `#${mode}_styles_edit_names`, HTMLDataListElement);
  names.replaceChildren(...styles.map(({ name, file }) => element("option", { value: name, textContent: file })));
}

// A name that is known shows its texts; an unknown one is a new style with what stands there.
function choose() {
  const found = styles.find((style) => style.name === typed().name);
  removal().disabled = !found;
  if (!found) return say(typed().name ? "A new style: Save adds it." : "");
  area("edit_style_prompt").value = found.prompt;
  area("edit_style_neg_prompt").value = found.negative_prompt;
  say(found.file ? `From ${found.file}.` : "");
}

/** @param {() => Promise<void>} act */
async function attempt(act) {
  try {
    await act();
  } catch (error) {
    say(sentence(error), "error");
  }
}

/**
 * @param {string} path
 * @param {string} done
 */
async function change(path, done) {
  ({ styles } = await send(path, typed()));
  fill();
  document.getElementById("styles_changed")?.click();
  removal().disabled = !styles.some((style) => style.name === typed().name);
  say(done);
}

async function apply() {
  const [prompt, negative] = prompts();
  const merged = await send("styles/apply", { style: typed(), prompt: prompt.value, negative_prompt: negative.value });
  typeInto(prompt, merged.prompt);
  typeInto(negative, merged.negative_prompt);
  say("Put into the prompts.");
}

function copy() {
  const [prompt, negative] = prompts();
  area("edit_style_prompt").value = prompt.value;
  area("edit_style_neg_prompt").value = negative.value;
  say("Copied from the prompts.");
}

async function remove() {
  if (!confirmed(`Delete the style ${typed().name}?`)) return;
  await change("styles/delete", "Deleted.");
}

function build() {
  const names = element("datalist", { id: `${mode}_styles_edit_names` });
  const name = element("input", {
    type: "text",
    id: `${mode}_styles_edit_select`,
    placeholder: "Choose a style, or type a new name",
  });
  name.setAttribute("list", names.id);
  name.addEventListener("input", choose);
  const [prompt, negative] = ["prompt", "neg_prompt"].map((part) =>
    element("textarea", { id: `${mode}_edit_style_${part}`, rows: 4 }),
  );
  const tools = element(
    "div",
    { className: "dialog-buttons" },
    button("Apply to prompts", () => attempt(apply), { id: `${mode}_style_apply_dialog` }),
    button("Copy from prompts", copy, { id: `${mode}_style_copy` }),
  );
  const ends = element(
    "div",
    { className: "dialog-buttons" },
    button("Save", () => attempt(() => change("styles", "Saved.")), {
      id: `${mode}_edit_style_save`,
      className: "primary",
    }),
    button("Delete", () => attempt(remove), { id: `${mode}_edit_style_delete` }),
    button("Close", () => dialog.close(), { id: `${mode}_edit_style_close` }),
  );
  const title = element("h2", { id: `${mode}_styles_dialog_title`, textContent: "Styles" });
  const made = element("dialog", { id: `${mode}_styles_dialog`, className: "webui-dialog" });
  made.setAttribute("aria-labelledby", title.id);
  made.append(
    title,
    element("p", { textContent: HELP }),
    labelled("Style", name),
    names,
    tools,
    labelled("Prompt", prompt),
    labelled("Negative prompt", negative),
    element("output", {}),
    ends,
  );
  need(document, ".gradio-container", HTMLElement).append(made);
  return made;
}

// The lines that name the files are there to be read: `---- file.csv ----`.
const DIVIDER = /^-{4,} .+\.\w+ -{4,}$/;

/**
 * In a list of its own: Gradio takes a list for the values of several components.
 * @param {string[] | null} names
 */
export const withoutDividers = (names) => [(names ?? []).filter((name) => !DIVIDER.test(name))];

/** @param {string} tab */
export async function editStyles(tab) {
  mode = tab;
  dialog = find(document, `#${mode}_styles_dialog`, HTMLDialogElement) ?? build();
  dialog.showModal();
  await attempt(async () => {
    const answer = await read("styles");
    ({ styles } = answer);
    fill();
    // The style that is chosen on the page, if there is one.
    const chosen = document.querySelector(`#${mode}_styles .token`)?.textContent?.trim();
    if (chosen && styles.some((style) => style.name === chosen)) input("styles_edit_select").value = chosen;
    choose();
    if (answer.problem) say(answer.problem, "error");
  });
}
