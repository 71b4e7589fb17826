"""`kill -9` of a run in each of its stages, then the same again: clean, and nothing left behind.

The second run is a person's next command, nothing in between: it undoes what the killed one left, and passes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rehearsal.cluster.record import Record
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.journal import read
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.deploy.manifests import identity
from rehearsal.stages.registry import NAMES
from rehearsal.stages.run_folder import EVENTS, FOLDER
from rehearsal.supply.supplies import make_supplies

from tests.live.conftest import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.killed, pytest.mark.timeout(1800)]

_KINDS = "deployments,statefulsets,networkpolicies,hpa,pods"
_NAMESPACES = ("mambogo-production", "mambogo-managed", "mambogo-monitoring")
_MARK = "REHEARSAL_TESTS_KILLED"  # in the environment of a run and so of every process that it starts
_BEGUN_SECONDS = 300.0
_GONE_SECONDS = 30.0
_RUN_SECONDS = 1500.0


@dataclass(frozen=True)
class Machine:
    """Runs stages here, kills them, and looks at what is there."""

    kubectl: Path
    kubeconfig: Path
    context: str
    ledger: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def killed_in(self, stage: str) -> None:
        """Start a run of one stage, and kill it in the middle: where chaos has broken something, then."""
        before = _folders()
        process = self._start(stage)
        try:
            wait_until(
                f"{stage} is under way",
                lambda: self._is_under_way(stage, process, before),
                timeout_seconds=_BEGUN_SECONDS,
                hint="The newest folder in runs/ says what it waits for.",
                interval_seconds=0.05,
            )
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def run(self, stage: str) -> tuple[int, str]:
        """Run one stage to its end; its exit code and what it said."""
        process = self._start(stage)
        said, _ = process.communicate(timeout=_RUN_SECONDS)
        return process.returncode, said

    def _start(self, stage: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "rehearsal", "e2e", "--stages", stage],
            cwd=ROOT,
            env={**os.environ, "CI": "true", _MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _is_under_way(self, stage: str, process: subprocess.Popen[str], before: set[Path]) -> bool:
        assert process.poll() is None, f"{stage} ended with {process.returncode} before it could be killed"
        new = _folders() - before
        begun = [one for folder in new for one in read(folder / EVENTS) if one.get("stage") == stage]
        if not begun:
            raise NotYet("the stage has not begun")
        if stage == "chaos" and not self.left():
            raise NotYet("nothing is broken yet")
        if stage == "load" and len(self.processes()) < 2:
            raise NotYet("no shopper is there yet")
        return True

    def processes(self) -> list[int]:
        """Processes of runs that this test started, whoever their parent is by now."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            if f"{_MARK}={self.mark}".encode() in environment.split(b"\0"):
                found.append(int(folder.name))
        return found

    def left(self) -> list[str]:
        """What the ledger says is to be undone."""
        return [json.loads(path.read_text())["what"] for path in sorted(self.ledger.glob("*.json"))]

    def objects(self) -> Mapping[str, Any]:
        """What is on the cluster, as far as a run may change it: by identity, pods without their names."""
        found: dict[str, Any] = {}
        for namespace in _NAMESPACES:
            for one in self._get(namespace):
                if one["kind"] != "Pod":
                    found[identity(one)] = _without_count(one)
                elif "ownerReferences" not in one["metadata"]:
                    found[identity(one)] = one["spec"]
        return found

    def _get(self, namespace: str) -> list[dict[str, Any]]:
        argv = [str(self.kubectl), f"--context={self.context}", "get", _KINDS, "--output=json"]
        done = subprocess.run(
            [*argv, f"--namespace={namespace}"],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return items


@pytest.fixture(scope="module")
def machine(folders: Paths, settings: Catalogue, made: Record) -> Machine:
    """The project's own cluster, which must have been deployed from this tree."""
    kubectl = make_supplies(folders, settings, emit=lambda event: None, docker=None).tool("kubectl")
    return Machine(kubectl, folders.kubeconfig, made.spec.context, folders.state / "ledger")


# The report is made when all stages are over; of a killed run `rehearsal report` makes it.
@pytest.mark.parametrize("stage", [name for name in NAMES if name != "report"])
def test_a_run_after_a_killed_one_is_clean_and_leaves_nothing(machine: Machine, stage: str) -> None:
    assert machine.left() == []
    before = machine.objects()
    machine.killed_in(stage)
    if stage == "chaos":
        # Else nothing was there to be undone, and the rest would prove nothing.
        assert machine.left()
    wait_until(
        "what the killed run started has ended",
        lambda: _none_left(machine),
        timeout_seconds=_GONE_SECONDS,
        hint="Whose child outlives it?",
    )
    code, said = machine.run(stage)
    assert code == 0, said
    assert machine.left() == []
    assert machine.processes() == []
    assert machine.objects() == before


def _none_left(machine: Machine) -> bool:
    processes = machine.processes()
    if processes:
        raise NotYet(f"{len(processes)} of its processes run on")
    return True


def _folders() -> set[Path]:
    """The runs whose journals are there."""
    return {path.parent for path in (ROOT / FOLDER).glob(f"*/{EVENTS}")}


def _without_count(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object's spec without what its HPA decides."""
    return {key: value for key, value in one.get("spec", {}).items() if key != "replicas"}
