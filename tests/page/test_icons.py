"""One icon, one meaning: what a symbol stands for is the same wherever it stands."""

from __future__ import annotations

import re
from collections import defaultdict

from modules.page.page import ASSETS
from modules.page.results import TARGETS

# A symbol and the id of its button, with `{mode}` for the tab.
TOOL = re.compile(r'\("(\W+)", f?"([\w{}]+)"')
HINT = re.compile(r'^\s*(\w+):\s+"(.+?)"', re.MULTILINE)
DRAWN = re.compile(r'^\s*(\w+): (?:icon\()?"(M[^"]+)"', re.MULTILINE)


def test_a_symbol_on_a_button_means_the_same_everywhere() -> None:
    hints = dict(HINT.findall((ASSETS / "tooltips.js").read_text("utf-8")))
    buttons = [
        (symbol, element.replace("{MODE}", "tab").replace("{mode}", "tab"))
        for path in sorted(ASSETS.parent.glob("*.py"))
        for symbol, element in TOOL.findall(path.read_text("utf-8"))
    ]
    buttons += [(symbol, f"tab_send_to_{target}") for target, symbol in TARGETS.items()]
    meanings = defaultdict(set)
    for symbol, element in buttons:
        if element in hints:
            # "Refresh styles" and "Refresh the list of checkpoints" are one meaning.
            meanings[symbol].add(hints[element].split()[0])
    assert len(meanings) >= 12
    assert {symbol: words for symbol, words in meanings.items() if len(words) > 1} == {}


def test_a_drawing_means_the_same_on_the_canvas_and_over_the_whole_window() -> None:
    meanings = defaultdict(set)
    for name in ("slot.js", "lightbox.js"):
        for meaning, path in DRAWN.findall((ASSETS / name).read_text("utf-8")):
            meanings[path].add(meaning)
    assert len(meanings) >= 14
    assert {path: names for path, names in meanings.items() if len(names) > 1} == {}
