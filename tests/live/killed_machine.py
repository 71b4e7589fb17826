"""The machine on which runs are killed: starts runs, ends them by SIGKILL, and looks at what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rehearsal.chaos.postgres import Postgres
from rehearsal.cluster.engine import connect
from rehearsal.core.journal import read
from rehearsal.core.verdicts import ExitCode
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.deploy.manifests import identity
from rehearsal.stages.run_folder import EVENTS, FOLDER

from tests.live.conftest import ROOT

_NAMESPACES = ("mambogo-production", "mambogo-managed", "mambogo-monitoring")
_KINDS = "deployments,statefulsets,daemonsets,networkpolicies,hpa,pods"
# What is in them changes by itself, or is the services' own.
_KINDS_BY_NAME = "services,jobs,configmaps,secrets,persistentvolumeclaims"
_MARK = "REHEARSAL_TESTS_KILLED"  # in the environment of a run and so of every process that it starts
_OF_TESTS = "com.mambogo.testkit.run"  # a label
_CLUSTER = "mambogo"
_KUBECTL_SECONDS = 60.0
_BEGUN_SECONDS = 1500.0  # journeys begin after a step: a quarter of an hour with production's timing
_GONE_SECONDS = 30.0
_RUN_SECONDS = 1500.0
_SETTLED_SECONDS = 600.0  # with production's timing an HPA keeps its replicas for five minutes


@dataclass(frozen=True)
class Machine:
    """Runs stages here, kills them, and looks at what is there."""

    kubectl: Path
    kubeconfig: Path
    context: str
    ledger: Path
    temporary: Path  # where our runs, and no others, have their temporary files
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def kill(self, arguments: tuple[str, ...], missing: Callable[[Path], str], **environment: str) -> Path:
        """Start a run and kill it as soon as nothing of a moment is missing; return the run's folder.

        `missing` says, by the run's folder, what has not come yet.
        """
        before = _folders()
        argv = [sys.executable, "-m", "rehearsal", "e2e", *arguments]
        # Not a pipe: nobody would read it meanwhile, and a full one would stop the run.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            process = self._start(argv, environment, said)

            def come() -> Path:
                assert process.poll() is None, f"it ended before it could be killed:\n{_read(said)}"
                if not (new := _folders() - before):
                    raise NotYet("the run has not begun")
                (folder,) = new
                if what := missing(folder):
                    raise NotYet(what)
                return folder

            try:
                return wait_until(
                    "the moment to kill the run in",
                    come,
                    timeout_seconds=_BEGUN_SECONDS,
                    hint="The newest folder in runs/ says how far it came.",
                    interval_seconds=0.05,
                )
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def nox(self, session: str, *arguments: str, code: int = ExitCode.PASS) -> None:
        """Run a session as a person does; it has to end with this code."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            process = self._start([sys.executable, "-m", "nox", "-s", session, "--", *arguments], {}, said)
            try:
                process.wait(_RUN_SECONDS)
            except subprocess.TimeoutExpired:
                # Else it would keep the runs of the tests that follow from beginning.
                process.terminate()
                process.wait()
            assert process.returncode == code, _read(said)

    def _start(
        self, argv: list[str], environment: Mapping[str, str], said: IO[str]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            cwd=ROOT,
            env={
                **os.environ,
                "CI": "true",
                "TMPDIR": str(self.temporary),
                _MARK: self.mark,
                **environment,
            },
            stdout=said,
            stderr=subprocess.STDOUT,
        )

    def processes(self, words: str = "") -> list[str]:
        """Commands of the processes of our runs, whoever their parent is by now; those with these words."""
        return [one for one in self._processes() if words in one]

    def _processes(self) -> Iterator[str]:
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{_MARK}={self.mark}".encode() in environment.split(b"\0"):
                yield command.replace(b"\0", b" ").decode("utf-8", "replace")

    def await_end_of_processes(self) -> None:
        """Wait until nothing runs any more that our runs have started."""

        def none() -> bool:
            if found := self.processes():
                raise NotYet("; ".join(found))
            return True

        wait_until(
            "what the killed run started has ended",
            none,
            timeout_seconds=_GONE_SECONDS,
            hint="Whose child outlives it?",
        )

    def left(self) -> list[str]:
        """What the ledger says is to be undone."""
        return [json.loads(path.read_text())["what"] for path in sorted(self.ledger.glob("*.json"))]

    def temporary_folders(self) -> list[str]:
        """The harness' temporary folders; what is in them, such as tokens, must not stay."""
        return sorted(one.name for one in self.temporary.glob("rehearsal-*"))

    def there(self) -> Mapping[str, Any]:
        """Everything that a run may change or leave, but for how many replicas an HPA wants just now."""
        # What another test left may still be on its way out.
        staying = [one["metadata"] for one in self.get("namespaces") if one["status"]["phase"] == "Active"]
        found: dict[str, Any] = {"namespaces": sorted(one["name"] for one in staying)}
        for namespace in _NAMESPACES:
            objects = self.get(_KINDS, namespace)
            scaled = {_target(one) for one in objects if one["kind"] == "HorizontalPodAutoscaler"}
            for one in objects:
                if one["kind"] != "Pod":
                    found[identity(one)] = _spec(one, without_count=one["metadata"]["name"] in scaled)
                elif "ownerReferences" not in one["metadata"]:
                    found[identity(one)] = one["spec"]
            found |= dict.fromkeys(map(identity, self.get(_KINDS_BY_NAME, namespace)))
        with closing(connect()) as docker:
            own = docker.containers.list(all=True, filters={"name": f"^/{_CLUSTER}-"})
            return {**found, "containers": {one.name: one.status for one in own}}

    def await_replicas(self, before: Mapping[str, int]) -> None:
        """Wait until every workload has its replicas again, ready; an HPA may have taken more away since."""

        def come_down() -> bool:
            now = self.replicas()
            more = {name: count for name, count in now.items() if count > before.get(name, 0)}
            unready = self.unready()
            if more or unready or now.keys() != before.keys():
                raise NotYet(f"more than before: {more}; not ready: {unready}")
            return True

        wait_until(
            "the replicas that were there before",
            come_down,
            timeout_seconds=_SETTLED_SECONDS,
            hint="`kubectl get hpa -A` says who wants more.",
            interval_seconds=1.0,
        )

    def replicas(self) -> dict[str, int]:
        """Return how many replicas each workload is to have."""
        return {identity(one): one["spec"]["replicas"] for one in self._workloads()}

    def unready(self) -> list[str]:
        """Return the workloads that have not all of their replicas, ready."""
        return [
            identity(one)
            for one in self._workloads()
            if one["status"].get("readyReplicas", 0) != one["spec"]["replicas"]
        ]

    def _workloads(self) -> list[dict[str, Any]]:
        return [one for name in _NAMESPACES for one in self.get("deployments,statefulsets", name)]

    def get(self, kinds: str, namespace: str = "") -> list[dict[str, Any]]:
        """Return the objects of some kinds in a namespace, or in none."""
        argv = [str(self.kubectl), f"--context={self.context}", "get", kinds, "--output=json"]
        done = subprocess.run(
            [*argv, *([f"--namespace={namespace}"] if namespace else [])],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_KUBECTL_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return items

    def admits(self, database: str) -> bool:
        """Return whether a database lets its service in."""
        statement = f"SELECT datallowconn FROM pg_database WHERE datname = '{database}'"  # noqa: S608 - our own
        place = Postgres(self.kubectl, self.kubeconfig, self.context)
        return place.ask("postgres", statement, role="postgres") == ["t"]


def outside() -> set[tuple[str, str]]:
    """Return what is on the engine: its containers and networks, by kind and name.

    What other tests start on it, which may run beside these, comes and goes.
    """
    with closing(connect()) as docker:
        containers = [one for one in docker.containers.list(all=True) if _OF_TESTS not in one.labels]
        networks = [one for one in docker.networks.list() if _OF_TESTS not in (one.attrs["Labels"] or {})]
    named = [("container", one.name) for one in containers] + [("network", one.name) for one in networks]
    return {(kind, str(name)) for kind, name in named}


def begun(folder: Path, stage: str, step: str = "") -> bool:
    """Return whether a run has begun a stage, and in it a step."""
    seen = False
    for one in read(folder / EVENTS):
        if one["event"] == "StageStarted" and one["stage"] == stage:
            seen = True
        if seen and (not step or (one["event"] == "StepStarted" and one["name"] == step)):
            return True
    return False


def _read(said: IO[str]) -> str:
    said.seek(0)
    return said.read()


def _folders() -> set[Path]:
    """The runs whose journals are there."""
    return {path.parent for path in (ROOT / FOLDER).glob(f"*/{EVENTS}")}


def _target(autoscaler: Mapping[str, Any]) -> str:
    return str(autoscaler["spec"]["scaleTargetRef"]["name"])


def _spec(one: Mapping[str, Any], *, without_count: bool) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = one.get("spec", {})
    return {key: value for key, value in spec.items() if not (without_count and key == "replicas")}
