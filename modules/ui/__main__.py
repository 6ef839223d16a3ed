"""`python -m modules.ui [flags]`: the server process."""

import sys

from modules.ui.serve import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
