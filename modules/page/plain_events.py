"""The list of the page's events, given to Gradio's scripts as something that they don't watch for changes."""

from __future__ import annotations

from typing import Final

# Gradio's page reads every event's targets once for each component, some 300,000 reads. Svelte wraps each plain array
# and object of its state in a Proxy that records who reads what, which made these reads half of the page's start. It
# leaves alone what has another prototype. Nothing is lost by that: the events of a loaded page don't change.
PLAIN_EVENTS: Final = """<script>
(() => {
  class Events extends Array {}
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
</script>"""
