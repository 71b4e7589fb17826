"""kill -9 in every moment of every work: the next `up` makes a whole cluster, the next `down` leaves nothing.

A moment is before and after each change of the machine, and each event that is emitted. The moments are not
listed here: each work is killed at its first, its second and so on, until it comes to its end unharmed.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from rehearsal.cluster import addons
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.catalogue import Versions

from tests.cluster.ground import CATALOGUE, CHECKOUT, Ground, planned

REAL_MANIFESTS = addons.manifests
FEWEST_MOMENTS = 5  # a work with fewer was not really cut off anywhere


@pytest.fixture(autouse=True)
def _manifests_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse the add-ons once for hundreds of runs; leave out objects that are like others to the harness."""

    def manifests(
        root: Path, spec: ClusterSpec, versions: Versions, *, resolvers: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        return _essential_manifests()

    monkeypatch.setattr(addons, "manifests", manifests)
    # What a killed process wrote is there; only the machine's own end would make a difference.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    # The same language by libyaml, many times as fast.
    monkeypatch.setattr(yaml, "SafeLoader", yaml.CSafeLoader)
    monkeypatch.setattr(yaml, "SafeDumper", yaml.CSafeDumper)


@cache
def _essential_manifests() -> Sequence[Mapping[str, Any]]:
    every = REAL_MANIFESTS(CHECKOUT, planned(), CATALOGUE.versions, resolvers=[])
    return [one for one in every if one["kind"] in ("Namespace", "Deployment", "APIService")]


def _nothing(ground: Ground) -> None:
    """Leave a machine on which the project has never been."""


def _whole(ground: Ground) -> None:
    ground.up()


def _stopped(ground: Ground) -> None:
    ground.up()
    for name in planned().node_names:
        ground.machine.stop(name)
    ground.machine.stop(planned().registry_container)


def _without_a_worker(ground: Ground) -> None:
    ground.up()
    ground.machine.delete(planned().node_names[-1])


def _without_a_guard(ground: Ground) -> None:
    ground.up()
    ground.machine.containers[planned().node_names[-1]].guarded = False


def _without_a_control_plane(ground: Ground) -> None:
    ground.up()
    ground.machine.delete(planned().node_names[0])


def _damaged_kubeconfig(ground: Ground) -> None:
    ground.up()
    ground.paths.kubeconfig.write_text("clusters:\n-", encoding="utf-8")


def _each_moment(
    new_ground: Callable[[], Ground], prepare: Callable[[Ground], None], work: str
) -> list[Ground]:
    """Return a ground for each moment of the work, on which it was killed in that moment."""
    killed: list[Ground] = []
    for moment in itertools.count():
        ground = new_ground()
        prepare(ground)
        if not ground.killed_at(moment, work):
            assert moment >= FEWEST_MOMENTS
            return killed
        killed.append(ground)
    raise AssertionError("unreachable: the count has no end")


BEGINNINGS = {
    "nothing": _nothing,
    "stopped": _stopped,
    "without-a-worker": _without_a_worker,
    "without-a-guard": _without_a_guard,
    "without-a-control-plane": _without_a_control_plane,
    "damaged-kubeconfig": _damaged_kubeconfig,
}


@pytest.mark.parametrize("reboot", [False, True], ids=["", "then-rebooted"])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_up_that_was_killed_is_finished_by_the_next(
    new_ground: Callable[[], Ground], monkeypatch: pytest.MonkeyPatch, beginning: str, reboot: bool
) -> None:
    for moment, ground in enumerate(_each_moment(new_ground, BEGINNINGS[beginning], "up")):
        if reboot:
            ground.machine.restart_engine()
        monkeypatch.setenv("KUBECONFIG", str(ground.users_file))

        ground.up()

        assert (moment, ground.flaws()) == (moment, [])
        assert (moment, ground.changed_by_up()) == (moment, [])


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_up_that_was_killed_can_be_removed(
    new_ground: Callable[[], Ground], monkeypatch: pytest.MonkeyPatch, beginning: str
) -> None:
    for moment, ground in enumerate(_each_moment(new_ground, BEGINNINGS[beginning], "up")):
        monkeypatch.setenv("KUBECONFIG", str(ground.users_file))

        ground.down()

        assert (moment, ground.remains()) == (moment, [])


@pytest.mark.parametrize("then", ["down", "up"])
def test_down_that_was_killed_is_finished(
    new_ground: Callable[[], Ground], monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    for moment, ground in enumerate(_each_moment(new_ground, _whole, "down")):
        monkeypatch.setenv("KUBECONFIG", str(ground.users_file))

        getattr(ground, then)()

        left = ground.remains() if then == "down" else ground.flaws()
        assert (moment, left) == (moment, [])


def test_up_that_was_killed_again_and_again_is_finished_in_the_end(ground: Ground) -> None:
    for moment in itertools.count():
        if not ground.killed_at(moment, "up"):
            break

    assert ground.flaws() == []
