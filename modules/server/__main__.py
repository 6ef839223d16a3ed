"""`python -m modules.server [flags]`: the server process."""

import os
import sys

from modules.launch.console import hold_window
from modules.server.serve import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    hold_window(code)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed by now; taking the interpreter apart, Gradio and pandas in it, takes seconds more.
    os._exit(code)
