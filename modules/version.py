"""The version of this web UI, and the one written into pictures."""

from typing import Final

VERSION: Final = "0.2.0"

# Readers of infotext (A1111 and its forks) decide by the version how to read prompt editing and hires steps. This says
# "behaves as v1.10.1" in the form of A1111's development versions, which they all parse, and then who wrote it.
INFOTEXT_VERSION: Final = f"v1.10.1-1-w{VERSION}"
