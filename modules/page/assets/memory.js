// @ts-check
// Form values survive a reload: each change is stored in this browser, and the server checks what comes back.

const ready = new Set();

// Before the stored values are back in the controls, their defaults must not overwrite them.
export function restored() {
  for (const [tab, [names, values]] of Object.entries(window.webuiForms ?? {})) {
    if (ready.has(tab)) continue;
    ready.add(tab);
    // What was typed in the meantime is stored as well.
    remember(tab, names, values);
  }
  if (ready.has("txt2img")) document.body.dataset.form = "restored";
  if (ready.has("img2img")) document.body.dataset.img2img = "restored";
}

/**
 * @param {string} tab
 * @param {string[]} names
 * @param {unknown[]} values
 */
export function remember(tab, names, values) {
  if (!ready.has(tab)) return;
  const entry = JSON.stringify(Object.fromEntries(names.map((name, index) => [name, values[index]])));
  localStorage.setItem(`webui-${tab}`, entry);
}
