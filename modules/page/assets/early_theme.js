// @ts-check
// Chooses light or dark before the page is painted: written into the head of the page, since a file would come too late.

(() => {
  // Gradio takes the theme from the address. What a person typed there counts most, then what the page's button stored
  // in this browser, then the flag --theme; with none of them the system's choice does.
  const flag = document.currentScript?.dataset.theme;
  const address = new URL(location.href);
  const typed = address.searchParams.get("__theme");
  let stored = null;
  try {
    stored = localStorage.getItem("webui-theme");
  } catch {}
  const theme = [typed, stored, flag].find((one) => one === "light" || one === "dark");
  if (!theme) return;
  document.documentElement.dataset.theme = theme;
  if (typed) return;
  address.searchParams.set("__theme", theme);
  history.replaceState(history.state, "", address);
  // Gradio has read it by then. What stays in the address is kept in bookmarks, and counts for more than the button.
  addEventListener("load", () => {
    const read = setInterval(() => {
      if (!document.getElementById("theme_switch")) return;
      clearInterval(read);
      const now = new URL(location.href);
      now.searchParams.delete("__theme");
      history.replaceState(history.state, "", now);
    }, 200);
  });
})();
