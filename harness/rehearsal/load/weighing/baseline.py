"""What was deployed before: the services' images, remembered by `rehearsal weigh --write`.

Only this machine's registry has them, so the file is this machine's, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.load.weighing.operations import SERVICES

FILE_NAME: Final = "weighed-before.json"
REMEMBER: Final = "rehearsal weigh --write"


class Reader(Protocol):
    """What is asked of Kubernetes."""

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return what a path answers, parsed; None for 404."""


class Baseline(BaseModel):
    """All of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: dict[str, str]  # by service

    @model_validator(mode="after")
    def _is_whole(self) -> Baseline:
        if unlike := sorted(set(SERVICES) ^ set(self.images)):
            raise ValueError(f"{', '.join(unlike)}: it has to name the services that are weighed")
        return self


def load(path: Path) -> Baseline:
    """Read and check what was deployed before.

    Raises ConfigurationError without a file, and for one that is not what `rehearsal weigh --write` writes.
    """
    try:
        return Baseline.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigurationError(
            "NOTHING_BEFORE",
            "nobody has remembered what was deployed before",
            hint=f"`{REMEMBER}` before the change, then deploy it and weigh.",
        ) from error
    except (OSError, ValueError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ConfigurationError(
            "BASELINE_INVALID", f"{path.name} is not valid: {said}", hint=f"`{REMEMBER}` writes it anew."
        ) from error


def dumps(baseline: Baseline) -> str:
    """Return the file's text."""
    return json.dumps(baseline.model_dump(), indent=1) + "\n"


def deployed(reader: Reader, namespace: str) -> Baseline:
    """Return what is deployed now. Raises EnvironmentNotReadyError when a service is not."""
    found = {service: deployment(reader, namespace, service) for service in SERVICES}
    return Baseline(images={service: container(one, service)["image"] for service, one in found.items()})


def deployment(reader: Reader, namespace: str, service: str) -> Mapping[str, Any]:
    """Return a service's Deployment. Raises EnvironmentNotReadyError when there is none."""
    found = reader.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{service}")
    if found is None:
        raise EnvironmentNotReadyError(
            "NOT_DEPLOYED_TO_WEIGH",
            f"there is no Deployment of {service}",
            hint="`rehearsal up --ci` deploys the stack.",
        )
    return found


def container(found: Mapping[str, Any], service: str) -> Mapping[str, Any]:
    """Return the service's own container of its Deployment."""
    every = found["spec"]["template"]["spec"]["containers"]
    return next((one for one in every if one["name"] == service), every[0])
