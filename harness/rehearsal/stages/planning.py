"""Which stages run, decided from what was asked for. Pure.

A stage that is not run always has a reason, in words: they stand in the report as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.verdicts import Ending
from rehearsal.stages.registry import BY_NAME, NAMES, STAGES, StageSpec

# A cluster from elsewhere needs neither: whether its ports answer is not for this machine's doctor.
_OWN_CLUSTER = ("doctor", "cluster")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    stages: tuple[str, ...] = ()  # none means all
    start: str = ""  # go on from here with what an earlier run left
    context: str = ""  # somebody else's cluster


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage and, if it is not to be run, why."""

    spec: StageSpec
    skip: str = ""


def plan(request: Request) -> tuple[Planned, ...]:
    """Return all stages in their order. Raises ConfigurationError for names that do not exist.

    The report is no part of the plan: it is written after each run.
    """
    _require_known(request.stages)
    _require_known((request.start,) if request.start else ())
    if request.stages and request.start:
        raise ConfigurationError(
            "STAGES_TWICE", "--stages and --from do not go together", hint="Use one of them."
        )
    return tuple(Planned(spec, _skip(spec, request)) for spec in STAGES if spec.name != "report")


def unmet(spec: StageSpec, endings: Mapping[str, Ending], planned: Sequence[Planned]) -> str:
    """Return why a stage cannot run after what has happened, or nothing.

    What was left out on request is taken as given; what was tried must have passed.
    """
    asked = {one.spec.name for one in planned if not one.skip}
    for need in spec.needs:
        ending = endings.get(need)
        if need in asked and ending is not Ending.PASS:
            return f"{need} ended {ending.value if ending else Ending.NOT_RUN.value}"
        if need not in asked and (deeper := unmet(BY_NAME[need], endings, planned)):
            return deeper
    return ""


def _skip(spec: StageSpec, request: Request) -> str:
    if request.stages and spec.name not in request.stages:
        return "not asked for"
    if request.start and NAMES.index(spec.name) < NAMES.index(request.start):
        return f"the run goes on from {request.start} with what is there"
    if request.context and spec.name in _OWN_CLUSTER:
        return f"the cluster of context {request.context} is used as it is"
    return ""


def _require_known(names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in NAMES]:
        raise ConfigurationError(
            "STAGE_UNKNOWN", f"there is no stage {unknown[0]!r}", hint=f"Stages: {', '.join(NAMES)}."
        )
