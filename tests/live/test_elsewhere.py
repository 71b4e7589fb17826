"""A cluster that the project did not make: deployed and judged by its context, and mended after `kill -9`.

It is a second kind cluster, made by a checkout with another name and other ports, whose state the checkout
that rehearses does not know. The project's own cluster may be there or not; nothing of it is touched, nor is
the user's kubeconfig.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from rehearsal.cli.judging_assembly import NAMESPACES
from rehearsal.cluster.engine import connect
from rehearsal.core import catalogue
from rehearsal.core.ledger import Ledger
from rehearsal.core.paths import Paths
from rehearsal.core.verdicts import ExitCode
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.stages.run_folder import EVENTS, FOLDER
from rehearsal.supply.supplies import make_supplies

from tests.live.conftest import ROOT
from tests.live.killed_machine import begun

pytestmark = [pytest.mark.cluster, pytest.mark.elsewhere, pytest.mark.timeout(3600)]

_NAME = "elsewhere"
_CONTEXT = f"kind-{_NAME}"
_FURTHER = 10_000  # from each port of the project's own cluster to the one here
_RUN_SECONDS = 3000.0
_END_SECONDS = 300.0  # a run that is ended undoes first
_GIT = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.org"]


@dataclass(frozen=True)
class Checkout:
    """A copy of this checkout with a state folder of its own; the cache is everybody's."""

    root: Path
    state: Path

    @classmethod
    def made(cls, folder: Path, catalogue_text: str) -> Checkout:
        """Copy what git knows here, with another catalogue."""
        root = folder / "checkout"
        listed = subprocess.run(
            [*_GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            source, target = ROOT / name, root / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        (root / "rehearsal.toml").write_text(catalogue_text, encoding="utf-8")
        # What was deployed is known by what git lists.
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "copy"]):
            subprocess.run([*_GIT, *words], cwd=root, check=True)
        return cls(root, folder / "state")

    def start(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command of the project; return it and the file with what it says.

        A pipe would be full while nobody reads, and what a killed command leaves behind would hold it open.
        """
        said = self.root.parent / f"{uuid.uuid4().hex}.log"
        chosen = {"XDG_STATE_HOME": str(self.state), "KUBECONFIG": str(self.root.parent / "users-kubeconfig")}
        with said.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "rehearsal", *arguments],
                cwd=self.root,
                env={**os.environ, "CI": "true", **chosen},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        return process, said

    def run(self, *arguments: str, code: int = ExitCode.PASS) -> str:
        """Run a command to its end, which must have this code; return what it said."""
        process, said = self.start(*arguments)
        try:
            process.wait(_RUN_SECONDS)
        finally:
            _end(process)
        text = said.read_text(encoding="utf-8")
        assert process.returncode == code, text
        return text

    @property
    def ledger(self) -> Ledger:
        """What is changed on the other cluster, and to be undone."""
        return Ledger(Paths(self.root, self.root, self.state / "mambogo-rehearsal", _CONTEXT).ledger)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout that may rehearse on the other cluster, which is there as long as these tests."""
    maker = Checkout.made(tmp_path_factory.mktemp("maker"), _moved())
    try:
        maker.run("cluster", "up", "--profile", "light", "--timing", "compressed")
        kubeconfig = maker.state / "mambogo-rehearsal" / "kubeconfig"
        yield Checkout.made(tmp_path_factory.mktemp("here"), _describing(kubeconfig))
    finally:
        maker.run("cluster", "down", "--images")


@pytest.fixture(scope="module")
def kubectl(folders: Paths) -> Path:
    """The project's kubectl."""
    return make_supplies(folders, catalogue.load(ROOT), emit=lambda event: None, docker=None).tool("kubectl")


def test_it_is_deployed_and_judged_and_nothing_of_the_own_cluster_is_touched(
    here: Checkout, kubectl: Path, folders: Paths
) -> None:
    own, pods = _own_containers(), _own_pods(kubectl, folders)

    experiments = ("kill-all-cart-service", "cut-off-inventory-service")
    chosen = (word for one in experiments for word in ("--experiment", one))
    said = here.run("e2e", "--context", _CONTEXT, "--stages", "deploy,contract,load,chaos,events", *chosen)

    assert "\nPASS: All " in said
    assert "chaos.recovery     PASS" in said
    assert "load.formula       PASS" in said
    assert here.ledger.entries() == []
    assert _own_containers() == own
    # An HPA may have taken some away; each of these faults takes all of a workload.
    after = _own_pods(kubectl, folders)
    assert [name for name, uids in pods.items() if not uids & after.get(name, set())] == []


def test_what_was_deployed_is_known_and_another_tree_is_refused(here: Checkout) -> None:
    chosen = ("--context", _CONTEXT, "--stages", "events")
    here.run("e2e", *chosen)
    changed = here.root / "services" / "README.md"
    before = changed.read_text(encoding="utf-8")
    changed.write_text(before + "\nAnother tree.\n", encoding="utf-8")
    try:
        said = here.run("e2e", *chosen, code=ExitCode.ENVIRONMENT)
    finally:
        changed.write_text(before, encoding="utf-8")

    assert "what runs on the cluster is not of this tree" in said


def test_fault_of_a_killed_run_is_undone_there(here: Checkout, kubectl: Path) -> None:
    chosen = ("--stages", "chaos", "--experiment", "outage-kafka")
    process, _ = here.start("e2e", "--context", _CONTEXT, *chosen)
    try:
        _await_outage(here, kubectl)
    finally:
        process.kill()
        process.wait()
    assert [one.what for one in here.ledger.entries()] == ["kafka, scaled from 1 to 0"]

    assert "undone: kafka, scaled from 1 to 0" in here.run("undo")

    assert here.ledger.entries() == []
    assert _kafkas(here, kubectl) == "1"


def _moved() -> str:
    """Return the catalogue of a cluster with another name and other ports."""
    text = (ROOT / "rehearsal.toml").read_text(encoding="utf-8")
    head, ports, rest = re.split(r"(?ms)(^\[ports\].*?)(?=^\[)", text, maxsplit=1)
    ports = re.sub(r"(?m)^(\w+ = )(\d+)", lambda found: f"{found[1]}{int(found[2]) + _FURTHER}", ports)
    assert head.count('name = "mambogo"') == 1
    return head.replace('name = "mambogo"', f'name = "{_NAME}"') + ports + rest


def _describing(kubeconfig: Path) -> str:
    """Return the committed catalogue with the cluster of a kubeconfig."""
    settings = catalogue.load(ROOT)
    names = ("http", "identity", "sandbox", *catalogue.BROKERS)
    usual = settings.ports.model_dump()
    ports = ", ".join(f"{name} = {usual[name] + _FURTHER}" for name in names)
    return f"""{(ROOT / "rehearsal.toml").read_text(encoding="utf-8")}
[contexts.{_CONTEXT}]
kubeconfig = "{kubeconfig}"
registry = "localhost:{usual["registry"] + _FURTHER}"
profile = "light"
timing = "compressed"
ports = {{ {ports} }}
"""


def _own_containers() -> dict[str, tuple[str, str]]:
    """Return which containers the project's own cluster has, and since when they run."""
    with closing(connect()) as docker:
        found = docker.containers.list(all=True, filters={"name": "^/mambogo-"})
        return {str(one.name): (str(one.id), one.attrs["State"]["StartedAt"]) for one in found}


def _own_pods(kubectl: Path, folders: Paths) -> Mapping[str, set[str]]:
    """Return the uids of the project's own cluster's pods by namespace and app; nothing without a cluster."""
    found: dict[str, set[str]] = defaultdict(set)
    if not _own_containers():
        return found
    context = catalogue.load(ROOT).cluster.context
    argv = [str(kubectl), f"--kubeconfig={folders.kubeconfig}", f"--context={context}", "get", "pods", "-A"]
    said = subprocess.run([*argv, "--output=json"], capture_output=True, check=True).stdout
    running = [one for one in json.loads(said)["items"] if one["status"]["phase"] == "Running"]
    for metadata in (one["metadata"] for one in running):
        app = metadata.get("labels", {}).get("app")
        if app and metadata["namespace"] in NAMESPACES:
            found[f"{metadata['namespace']}/{app}"].add(metadata["uid"])
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that has not come to its end: it may undo first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_outage(here: Checkout, kubectl: Path) -> None:
    def stopped() -> bool:
        folders = sorted(here.root.glob(f"{FOLDER}/*/{EVENTS}"))
        if not folders or not begun(folders[-1].parent, "chaos") or _kafkas(here, kubectl) != "0":
            raise NotYet("Kafka is still wanted")
        return True

    wait_until(
        "the outage", stopped, timeout_seconds=300.0, hint="See its run's folder.", interval_seconds=0.2
    )


def _kafkas(here: Checkout, kubectl: Path) -> str:
    """Return how many brokers are wanted."""
    place = here.state / "mambogo-rehearsal" / "contexts" / _CONTEXT / "kubeconfig"
    argv = [str(kubectl), f"--kubeconfig={place}", f"--context={_CONTEXT}", "--namespace=mambogo-managed"]
    path = "jsonpath={.spec.replicas}"
    return subprocess.run(
        [*argv, "get", "statefulset", "kafka", f"--output={path}"], capture_output=True, text=True, check=True
    ).stdout
