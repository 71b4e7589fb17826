"""The committed weights: `weights.toml`, how many bare requests an operation costs.

`rehearsal weigh --write` writes the file; nobody writes it by hand.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rehearsal.core.errors import ConfigurationError
from rehearsal.load.weighing.operations import OPERATIONS, REFERENCE_PATH

FILE_NAME: Final = "weights.toml"
RENEW: Final = "rehearsal weigh --write"
_HEADER: Final = f"""\
# What operations cost: CPU time of one request, in requests to {REFERENCE_PATH} of the same pod.
# Written by `{RENEW}`; docs/reference/weighing.md says how it is measured and when it is to be renewed.
"""
_KNOWN: Final = frozenset((one.service, one.key) for one in OPERATIONS)

Weight = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class Weights(BaseModel):
    """All of `weights.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: str  # what they were measured on: a ratio depends on it a little
    weights: dict[str, dict[str, Weight]]  # by service and operation

    @model_validator(mode="after")
    def _are_weighed(self) -> Weights:
        named = {(service, key) for service, some in self.weights.items() for key in some}
        if unknown := sorted(named - _KNOWN):
            raise ValueError(f"{', '.join(' '.join(one) for one in unknown)}: nothing weighs that")
        return self

    def of(self, service: str, key: str) -> float | None:
        """Return an operation's weight; None when none is committed."""
        return self.weights.get(service, {}).get(key)


def load(path: Path) -> Weights:
    """Read and check weights; without a file there are none.

    Raises ConfigurationError for a file that is not what `rehearsal weigh` writes.
    """
    if not path.exists():
        return Weights(machine="", weights={})
    try:
        return Weights.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ConfigurationError(
            "WEIGHTS_INVALID", f"{path.name} is not valid: {said}", hint=f"`{RENEW}` writes it anew."
        ) from error


def dumps(weights: Mapping[str, Mapping[str, float]], machine: str) -> str:
    """Return the file's text, services and operations in their order."""
    lines = [_HEADER, f"machine = {_quoted(machine)}"]
    for service, some in weights.items():
        lines += ["", f"[weights.{service}]", *(f"{_quoted(key)} = {one:.2f}" for key, one in some.items())]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
