"""Starts the web UI: prepares what is missing, then becomes the server."""

import sys

# Written so that the oldest Python still reads it: the sentence below is what its owner should see, not a syntax error.
if sys.version_info < (3, 8):  # noqa: UP036
    sys.exit("Python %d.%d is too old: install Python 3.12 (64-bit) and start again." % sys.version_info[:2])  # noqa: UP031

from modules.launch.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
