"""The stages of a run, in their order: what each is for, what it needs, how long it may take.

The standard library is enough to import this: the noxfile makes its sessions from it. What a stage does is
elsewhere in this package.
"""

from __future__ import annotations

from dataclasses import dataclass

_MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage."""

    name: str
    summary: str  # an imperative sentence; `nox -l` shows it
    limit_seconds: float
    needs: tuple[str, ...] = ()  # stages that must have passed, or be taken as given
    judges: bool = False  # whether it says anything about the product; the others only prepare
    only_looks: bool = False  # it changes nothing, so no stop condition ends it
    command: tuple[str, ...] = ()  # what does the same alone, better than a run of one stage


# The limits are there to end what hangs, on a slow machine too; they say nothing about what is usual.
STAGES = (
    StageSpec(
        "doctor",
        "Look at this machine and say what will work, what will be mended and what cannot be tested here.",
        limit_seconds=2 * _MINUTE_SECONDS,
        only_looks=True,
        command=("doctor",),
    ),
    StageSpec(
        "supply",
        "Find, pull or build every tool and image.",
        limit_seconds=40 * _MINUTE_SECONDS,
        needs=("doctor",),
        command=("supply", "build"),
    ),
    StageSpec(
        "cluster",
        "Make the cluster, or mend the one that is there.",
        limit_seconds=12 * _MINUTE_SECONDS,
        needs=("supply",),
        command=("cluster", "up"),
    ),
    StageSpec(
        "deploy",
        "Build, push and apply everything, and wait for every replica.",
        limit_seconds=25 * _MINUTE_SECONDS,
        needs=("cluster",),
        judges=True,
    ),
    StageSpec(
        "contract",
        "Check what the services promise against what they do.",
        limit_seconds=20 * _MINUTE_SECONDS,
        needs=("deploy",),
        judges=True,
    ),
    StageSpec(
        "load",
        "Drive an HPA over its target and back, then send shoppers at a fixed rate on whole journeys.",
        limit_seconds=40 * _MINUTE_SECONDS,  # with production's timing an HPA keeps its replicas for minutes
        needs=("deploy",),
        judges=True,
    ),
    StageSpec(
        "chaos",
        "Break parts of the shop under a flow of orders, and audit every order.",
        limit_seconds=75 * _MINUTE_SECONDS,  # `--thorough` breaks every part for minutes
        needs=("deploy",),
        judges=True,
    ),
    StageSpec(
        "events",
        "Judge every record that the other stages left on Kafka, or all that the topics still have.",
        limit_seconds=6 * _MINUTE_SECONDS,  # reading on to the end has bounds of its own, below this
        needs=("deploy",),
        judges=True,
    ),
    StageSpec(
        "report",
        "Write the report of a run, in every form.",
        limit_seconds=2 * _MINUTE_SECONDS,
        command=("report",),
    ),
)
NAMES = tuple(stage.name for stage in STAGES)
BY_NAME = {stage.name: stage for stage in STAGES}
