// Form values survive a reload: each change is kept in this browser, and the server checks what comes back.

let ready = false;
let pending = null;

// Before the stored values are back in the controls, their defaults must not overwrite them.
export function restored() {
  if (!window.webuiForm) return;
  ready = true;
  document.body.dataset.form = "restored";
  // What was typed in the meantime is kept as well.
  remember(...window.webuiForm);
}

export function remember(tab, names, values) {
  if (!ready) return;
  clearTimeout(pending);
  const entry = JSON.stringify(Object.fromEntries(names.map((name, index) => [name, values[index]])));
  pending = setTimeout(() => localStorage.setItem(`webui-${tab}`, entry), 150);
}
