"""Adapter: kustomize, as kubectl has it built in."""

from __future__ import annotations

from pathlib import Path

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.processes import ProcessFailedError, run
from rehearsal.deploy.manifests import Manifest, parse

_BUILD_SECONDS = 60.0


def build(kubectl: Path, folder: Path) -> list[Manifest]:
    """Return the objects of a kustomization; raises ConfigurationError with what kustomize says of it."""
    try:
        ended = run([str(kubectl), "kustomize", str(folder)], timeout_seconds=_BUILD_SECONDS)
    except ProcessFailedError as error:
        raise ConfigurationError(
            "KUSTOMIZE_REFUSED",
            f"{folder} cannot be built:\n{error.tail}",
            hint="Correct the file that it names.",
        ) from error
    return parse(ended.output)
