"""Start an engine: `python -m modules.engine [flags] ADDRESS`, as the server does by name."""

from __future__ import annotations

import faulthandler
import logging
import sys
from collections.abc import Sequence

from modules.engine.channel import connect


def main(argv: Sequence[str]) -> int:
    """Call the server at the last argument and work until it hangs up. Returns the exit code."""
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    *flags, address = argv
    channel = connect(address)
    # Imported after the call is answered: the server learns at once that its engine lives, torch takes seconds.
    from modules.engine.engine import Engine

    Engine(channel, flags).work()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
