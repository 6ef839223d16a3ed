// @ts-check
// Gives Gradio's scripts the list of the page's events as something that they don't watch for changes.

(() => {
  // Gradio's page reads every event's targets once for each component, some 300,000 reads. Svelte wraps each plain array
  // and object of its state in a Proxy that records who reads what, which made these reads half of the page's start. It
  // leaves alone what has another prototype. Nothing is lost by that: the events of a loaded page don't change.
  class Events extends Array {}
  /** @type {{ dependencies?: object[] } | undefined} */
  let config;
  Object.defineProperty(window, "gradio_config", {
    configurable: true,
    get: () => config,
    set: (value) => {
      config = value;
      if (Array.isArray(value?.dependencies)) Object.setPrototypeOf(value.dependencies, Events.prototype);
    },
  });
})();
