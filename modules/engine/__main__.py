"""Start an engine: `python -m modules.engine [flags] ADDRESS`, as the server does by name."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from modules.engine.channel import connect

LOOK_SECONDS: Final = 1.0


def main(argv: Sequence[str]) -> NoReturn:
    """Call the server at the last argument and work until it hangs up."""
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    *flags, address = argv
    server = os.getppid()
    channel = connect(address)
    threading.Thread(target=_end_with, args=(server,), name="server", daemon=True).start()
    # Imported after the call is answered: the server learns at once that its engine lives, torch takes seconds.
    from modules.engine.engine import Engine

    engine = Engine(channel, flags)
    # A switch of checkpoints collects garbage; what was imported, half a million objects, is none.
    gc.freeze()
    engine.work()
    logging.shutdown()
    # Nothing is left to save, and taking torch apart in good order costs seconds.
    os._exit(0)


def _end_with(server: int) -> None:
    """End this process soon after the server, whatever it is busy with: an import, or a kernel that takes minutes."""
    while os.getppid() == server:
        time.sleep(LOOK_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
