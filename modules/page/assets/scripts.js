// The controls of the chosen script are shown, those of the others are not.

const chosen = {};

const slug = (title) => title.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");

export function chooseScript(mode, title) {
  chosen[mode] = title;
  show(mode);
}

function show(mode) {
  const own = `script_${mode}_${slug(chosen[mode] ?? "None")}`;
  for (const controls of document.querySelectorAll(`[id^="script_${mode}_"].script-controls`)) {
    controls.classList.toggle("chosen", controls.id === own);
  }
}

// Gradio draws a tab when it is first opened, and may have given the list its value before this script was there.
new MutationObserver(() => {
  for (const mode of ["txt2img", "img2img"]) {
    const list = document.querySelector(`#${mode}_script_list:not([data-seen]) input`);
    if (!list) continue;
    list.closest(`#${mode}_script_list`).dataset.seen = "";
    chooseScript(mode, chosen[mode] ?? list.value);
  }
}).observe(document.documentElement, { childList: true, subtree: true });
