"""Defects planted into a copy of the chassis, and the tests run against that copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN_SECONDS = 110
# Of the installed plugins those that these tests use: loading all takes longer than the tests.
PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider")


def run_with_plant(directory: Path, file: str, sound: str, planted: str, *tests: str) -> int:
    """pytest's exit code for `tests` on a copy where `sound` in `file` is replaced; 1: one failed."""
    package = directory / "mambogo_chassis"
    shutil.copytree(ROOT / "src" / "mambogo_chassis", package, ignore=shutil.ignore_patterns("__pycache__"))
    source = (package / file).read_text()
    assert source.count(sound) == 1, f"the plant no longer applies to {file}"
    (package / file).write_text(source.replace(sound, planted))
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *PLUGINS, *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(directory), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    return ended.returncode
