"""Hashes: of files, of folders, and of the inputs that make a supply what it is.

Only content counts: no times, no owners, no place on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_IGNORED_FOLDERS = frozenset({"__pycache__"})  # made by merely importing a recipe
SHORT_KEY_CHARACTERS = 16  # folder names stay readable; 64 bits do not collide by accident


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(inputs: Mapping[str, object]) -> str:
    """Return the key of a set of inputs: SHA-256 over their canonical JSON.

    Raises TypeError for a value that JSON cannot hold: a key must not depend on how an object prints.
    """
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def short(key: str) -> str:
    """Return the part of a key that names folders."""
    return key[:SHORT_KEY_CHARACTERS]


def walk(folder: Path) -> Iterator[Path]:
    """Yield all files and symbolic links below `folder`, in one fixed order."""
    for path, folders, files in os.walk(folder):
        here = Path(path)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in _IGNORED_FOLDERS and name not in links)
        yield from (here / name for name in sorted([*files, *links]))


def tree_digest(folder: Path) -> dict[str, str]:
    """Return what makes up a folder: relative path to kind and content hash.

    The executable bit counts, because `COPY` keeps it; other permissions do not, because git does not.
    """
    return {path.relative_to(folder).as_posix(): _describe(path) for path in walk(folder)}


def _describe(path: Path) -> str:
    if path.is_symlink():
        return f"link:{path.readlink()}"
    kind = "program" if path.stat().st_mode & 0o100 else "file"
    return f"{kind}:{file_sha256(path)}"
