"""Starts the web UI: prepares what is missing, then becomes the server."""

import sys

# Written so that the oldest Python still reads it: the sentence below is what its owner should see, not a syntax error.
if sys.version_info < (3, 8):  # noqa: UP036
    sys.exit("Python %d.%d is too old: install Python 3.11 (64-bit) and start again." % sys.version_info[:2])  # noqa: UP031

from modules.launch.console import hold_window
from modules.launch.main import main
from modules.launch.signals import end_as_by_ctrl_c

if __name__ == "__main__":
    end_as_by_ctrl_c()
    status = main(sys.argv[1:])
    hold_window(status)
    sys.exit(status)
