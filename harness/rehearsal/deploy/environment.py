"""The environment in which Tilt, kubectl and kind work for this project.

The same variables serve `rehearsal up` and, as the shell text of `rehearsal env`, plain `tilt up` in a
developer's own terminal. Finding the tools belongs to the supplies.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rehearsal.cluster import record
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths


def settings(paths: Paths, catalogue: Catalogue) -> dict[str, str]:
    """Return the variables of the project, `PATH` apart."""
    found = record.setting(paths, catalogue)
    chosen = {
        "KUBECONFIG": str(paths.kubeconfig),
        "TILT_PORT": str(catalogue.ports.tilt),
        "TILT_WEB_MODE": "prod",  # a Tilt built from source would look for a development server
        "TILT_DISABLE_ANALYTICS": "1",
        "DO_NOT_TRACK": "1",
        "REHEARSAL_ROOT": str(paths.root),
        "REHEARSAL_PYTHON": sys.executable,  # reads rehearsal.toml for the Tiltfile
        "REHEARSAL_PROFILE": found.profile if found else catalogue.cluster.default_profile,
    }
    # An engine that is not at its usual place was found, or started, by this project.
    if host := os.environ.get("DOCKER_HOST"):
        chosen["DOCKER_HOST"] = host
    return chosen


def tilt_environment(
    paths: Paths, catalogue: Catalogue, *, tools: Sequence[Path], base: Mapping[str, str]
) -> dict[str, str]:
    """Return a program's whole environment: `base` with the project's variables, tools first on PATH."""
    folders = [str(folder) for folder in tools]
    search = os.pathsep.join([*folders, *filter(None, [base.get("PATH")])])
    return {**base, **settings(paths, catalogue), "PATH": search}


def env_script(paths: Paths, catalogue: Catalogue, *, tools: Sequence[Path]) -> str:
    """Return the text of `rehearsal env`, for `eval` by any POSIX shell; twice is as good as once."""
    lines = [
        f"export {name}={shlex.quote(value)}" for name, value in sorted(settings(paths, catalogue).items())
    ]
    # The last one prepended comes first in PATH.
    lines += [_prepend(folder) for folder in reversed(tools)]
    return "\n".join([*lines, "export PATH"])


def _prepend(folder: Path) -> str:
    quoted = shlex.quote(str(folder))
    return f'case ":$PATH:" in *:{quoted}:*) ;; *) PATH={quoted}:"$PATH" ;; esac'
