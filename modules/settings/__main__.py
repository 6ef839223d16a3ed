"""`python -m modules.settings check FLAG...` looks over a command line, `… docs` writes the tables in docs/."""

import sys

from modules.settings.documents import write_pages
from modules.settings.flag_parser import parse_flags
from modules.settings.flags import FlagError
from modules.settings.paths import REPOSITORY


def main(words: list[str]) -> int:
    """Exit status: 0, or 2 with one sentence on stderr. --help among the flags prints the list and exits 0."""
    if words[:1] == ["docs"]:
        write_pages(REPOSITORY / "docs")
        return 0
    if words[:1] != ["check"]:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        parse_flags(words[1:])
    except FlagError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
