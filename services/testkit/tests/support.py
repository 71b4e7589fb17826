"""Types that the tests of the plugin share."""

from __future__ import annotations

import subprocess
from typing import Protocol


class Session(Protocol):
    """Starts pytest on a source text, in a process of its own."""

    def __call__(self, source: str, *arguments: str, **environment: str) -> subprocess.Popen[str]: ...
