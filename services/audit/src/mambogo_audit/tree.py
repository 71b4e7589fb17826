"""The services' code and migrations: as they are in this repository, or a copy with a planted bug."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# What runs of each service, and its module.
MODULES: Final = {
    "product": "mambogo_product",
    "inventory": "mambogo_inventory",
    "payment": "mambogo_payment",
    "order": "mambogo_order.main",
    "cart": "mambogo_cart.main",
}
_COPIED: Final = ("chassis", *MODULES)
_UNWANTED: Final = shutil.ignore_patterns("__pycache__", ".mypy_cache", "tests", "bench", "contract")


class PatchError(Exception):
    """A planted bug that cannot be planted any more."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Where the services are; it looks as `services/` does."""

    services: Path

    @classmethod
    def own(cls) -> Tree:
        """What is in this repository."""
        return cls(Path(__file__).parents[3])

    @property
    def python_path(self) -> str:
        """What puts this tree's packages before the installed ones."""
        return os.pathsep.join(str(self.services / name / "src") for name in _COPIED)

    def migrations(self, name: str) -> Path:
        """A service's migrations."""
        return self.services / name / "migrations"

    def planted(self, patch: Path | None, target: Path) -> Tree:
        """A copy in `target`, with `patch` applied; raises PatchError where it does not apply."""
        for name in _COPIED:
            shutil.copytree(self.services / name, target / name, ignore=_UNWANTED)
        if patch is not None:
            _apply(patch, target)
        return Tree(target)


def _apply(patch: Path, target: Path) -> None:
    """The patch names files as the repository does: `a/services/order/...`."""
    # Outside of any repository: git would else look for the paths in its index.
    environment = {**os.environ, "GIT_DIR": str(target / ".none")}
    command = ["/usr/bin/env", "git", "apply", "-p2", str(patch)]
    done = subprocess.run(command, cwd=target, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise PatchError(f"{patch.name}: {done.stderr.strip()}")
