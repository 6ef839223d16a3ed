// @ts-check
// Light or dark: the button that switches, remembered in this browser. modules/page/theme.py has the script that chooses
// before the page is painted.

const STORE = "webui-theme";

/** @typedef {"light" | "dark"} Theme */

/** @returns {Theme | null} what was chosen by the button */
function stored() {
  const theme = localStorage.getItem(STORE);
  return theme === "light" || theme === "dark" ? theme : null;
}

/** @param {Theme} theme */
function apply(theme) {
  document.body.classList.toggle("dark", theme === "dark");
  document.documentElement.dataset.theme = theme;
}

// A theme in the address would count for more than the one that is stored.
function clearAddress() {
  const address = new URL(location.href);
  if (!address.searchParams.has("__theme")) return;
  address.searchParams.delete("__theme");
  history.replaceState(history.state, "", address);
}

export function switchTheme() {
  const theme = document.body.classList.contains("dark") ? "light" : "dark";
  localStorage.setItem(STORE, theme);
  apply(theme);
  clearAddress();
}

// What was chosen holds in the browser's other tabs, and when the system changes its own theme, which Gradio follows.
export function watchTheme() {
  const again = () => {
    const theme = stored();
    if (theme) apply(theme);
  };
  window.addEventListener("storage", ({ key }) => key === STORE && again());
  window.matchMedia?.("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(again));
}
