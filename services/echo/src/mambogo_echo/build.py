"""Digest of the source that a process runs.

It needs no version control and no build step: two processes give the same digest exactly when they run the
same files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def source_digest(package: Path) -> str:
    """Return the SHA-256 of a package's Python files: relative path, length and content, sorted by path."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
