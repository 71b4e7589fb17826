"""Programs that some tests ask for a second opinion, and what happens where one of them is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from rehearsal.core.catalogue import load
from rehearsal.core.paths import for_checkout
from rehearsal.supply import present
from rehearsal.supply.supplies import make_supplies

# Set where nothing may be skipped for want of a program: `.ci/run`, and the pipeline where it can have them.
REQUIRED = "MAMBOGO_REQUIRE_TOOLS"
ROOT = Path(__file__).parents[1]
# Where `.ci/promtool` puts what it takes out of Debian's package.
_OWN_PROGRAMS = ROOT / "build" / "ci-tools" / "bin"


def promtool() -> Path:
    """Return promtool; without one, skip the test, or fail it where that is not allowed."""
    found = shutil.which("promtool", path=os.pathsep.join([os.environ.get("PATH", ""), str(_OWN_PROGRAMS)]))
    return _there(found, "promtool", cure=f".ci/promtool {_OWN_PROGRAMS.relative_to(ROOT)}")


def kubectl() -> Path:
    """Return kubectl in the pinned version, built before or the machine's own; without one as `promtool`."""
    paths = for_checkout(ROOT)
    supplies = make_supplies(paths, load(ROOT), emit=lambda event: None, docker=None)
    location = supplies.inventory.tools["kubectl"]
    entry = supplies.store.find(supplies.wanted(location.supply))
    if entry is not None:
        return entry.folder / location.path
    path = os.environ.get("PATH", "")
    found = present.find("kubectl", location.version, search_path=path, exclude=paths.cache)
    return _there(found, f"kubectl {location.version}", cure="nox -s supply")


def _there(found: str | Path | None, name: str, *, cure: str) -> Path:
    if found is not None:
        return Path(found)
    reason = f"{name} is not here, so nobody looked; this makes it: {cure}"
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)
