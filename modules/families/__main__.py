"""`python -m modules.families` writes docs/families.md."""

from pathlib import Path

from modules.families.documents import write_page

if __name__ == "__main__":
    write_page(Path(__file__).parents[2] / "docs")
