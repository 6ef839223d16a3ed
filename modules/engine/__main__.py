"""Start an engine: `python -m modules.engine [flags] ADDRESS`, as the server does by name."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from modules.engine.channel import connect


def main(argv: Sequence[str]) -> NoReturn:
    """Call the server at the last argument and work until it hangs up."""
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    *flags, address = argv
    channel = connect(address)
    # Imported after the call is answered: the server learns at once that its engine lives, torch takes seconds.
    from modules.engine.engine import Engine

    engine = Engine(channel, flags)
    # A switch of checkpoints collects garbage; what was imported, half a million objects, is none.
    gc.freeze()
    engine.work()
    logging.shutdown()
    # Nothing is left to save, and taking torch apart in good order costs seconds.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
