"""The adapter of kind: what the program is told, and how its failures are explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal.cluster.kind import KindProgram
from rehearsal.cluster.plan import kind_config
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError

from tests.cluster.ground import planned

SPEC = planned("light")
# What kind 0.31 and Docker print.
BOOT_TIMEOUT = (
    "ERROR: failed to create cluster: could not find a log line that matches "
    '"Reached target .*Multi-User System.*|detected cgroup v1"'
)
PORT_ALLOCATED = (
    "docker: Error response from daemon: driver failed programming external connectivity on endpoint "
    "mambogo-control-plane: Bind for 127.0.0.1:8080 failed: port is already allocated."
)
PORT_BOUND = "Error starting userland proxy: listen tcp4 127.0.0.1:8443: bind: address already in use."
KUBEADM_FAILED = "ERROR: failed to create cluster: failed to init node with kubeadm: exit status 1"


class Workplace:
    """A program in kind's place, which keeps what it is told, and the folders that it works in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "logs" / "kind.log"
        self.program = folder / "kind"
        self.ends()

    @property
    def kind(self) -> KindProgram:
        """The adapter of the program."""
        return KindProgram(self.program, self.log)

    @property
    def arguments(self) -> list[str]:
        """What the program was told."""
        return (self.folder / "arguments").read_text(encoding="utf-8").splitlines()

    @property
    def network(self) -> str:
        """The Docker network that the program was told to use."""
        return (self.folder / "network").read_text(encoding="utf-8")

    def ends(self, code: int = 0, said: str = "") -> None:
        """Let the program print something and end with a code."""
        (self.folder / "said").write_text(said, encoding="utf-8")
        self.program.write_text(
            "#!/bin/sh\n"
            'cd "$(dirname "$0")"\n'
            'printf "%s\\n" "$@" > arguments\n'
            'printf "%s" "$KIND_EXPERIMENTAL_DOCKER_NETWORK" > network\n'
            "cat said >&2\n"
            f"exit {code}\n",
            encoding="utf-8",
        )
        self.program.chmod(0o755)

    def create(self) -> list[str]:
        """Make a cluster; return what was said of its progress."""
        progress: list[str] = []
        self.kind.create(
            kind_config(SPEC),
            spec=SPEC,
            folder=self.folder,
            kubeconfig=self.folder / "kubeconfig",
            progress=progress.append,
        )
        return progress

    def failure(self) -> EnvironmentNotReadyError:
        """Make a cluster in vain; return the error."""
        with pytest.raises(EnvironmentNotReadyError) as caught:
            self.create()
        return caught.value


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Return a place where kind succeeds and says nothing."""
    return Workplace(tmp_path)


def test_cluster_is_made_of_our_image_with_our_kubeconfig(place: Workplace) -> None:
    place.create()

    assert place.arguments == [
        *("create", "cluster"),
        *("--config", str(place.folder / "kind.json")),
        *("--image", "rehearsal/node:1"),
        *("--wait", "0s"),
        *("--kubeconfig", str(place.folder / "kubeconfig")),
        "--retain",
    ]


def test_configuration_is_the_planned_one(place: Workplace) -> None:
    place.create()

    written = json.loads((place.folder / "kind.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(kind_config(SPEC)))
    assert written["name"] == SPEC.name


def test_nodes_are_put_on_our_own_network(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", "somebody-else-s")
    place.create()

    assert place.network == "mambogo-rehearsal"


def test_progress_comes_without_kind_s_decoration(place: Workplace) -> None:
    place.ends(said=" • Preparing nodes 📦  ...\n ✓ Preparing nodes 📦\n")

    assert place.create()[-1] == "Preparing nodes 📦"


def test_everything_that_kind_says_is_in_the_log(place: Workplace) -> None:
    place.ends(said="one\ntwo\n")
    place.create()

    assert place.log.read_text(encoding="utf-8") == "one\ntwo\n"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        pytest.param(BOOT_TIMEOUT, "NODE_BOOT_TIMEOUT", id="boot"),
        pytest.param(PORT_ALLOCATED, "PORT_IN_USE", id="port-of-a-container"),
        pytest.param(PORT_BOUND, "PORT_IN_USE", id="port-of-a-program"),
        pytest.param(KUBEADM_FAILED, "KIND_FAILED", id="anything-else"),
    ],
)
def test_failure_is_explained(place: Workplace, said: str, code: str) -> None:
    place.ends(1, f"Creating cluster\n{said}\n")

    error = place.failure()

    assert error.code == code
    assert error.hint
    assert isinstance(error.__cause__, ProcessFailedError)


def test_port_that_is_taken_is_named(place: Workplace) -> None:
    place.ends(1, PORT_ALLOCATED)

    assert "127.0.0.1:8080" in place.failure().message


def test_unknown_failure_says_what_kind_said_and_where_the_log_is(place: Workplace) -> None:
    place.ends(1, KUBEADM_FAILED)

    error = place.failure()

    assert KUBEADM_FAILED in error.message
    assert str(place.log) in error.hint


def test_program_that_is_not_there_is_an_environment_that_is_not_ready(place: Workplace) -> None:
    place.program.unlink()

    assert place.failure().code == "KIND_FAILED"


def test_kubeconfig_is_written_to_the_given_file(place: Workplace) -> None:
    place.kind.export_kubeconfig(SPEC, place.folder / "mine")

    target = str(place.folder / "mine")
    assert place.arguments == ["export", "kubeconfig", "--name", "mambogo", "--kubeconfig", target]
    assert place.network == "mambogo-rehearsal"


def test_logs_are_collected_into_the_given_folder(place: Workplace) -> None:
    place.kind.export_logs(SPEC, place.folder / "collected")

    assert place.arguments == ["export", "logs", "--name", "mambogo", str(place.folder / "collected")]


@pytest.mark.parametrize("export", ["export_kubeconfig", "export_logs"])
def test_export_that_fails_is_an_error(place: Workplace, export: str) -> None:
    place.ends(1, 'ERROR: unknown cluster "mambogo"\n')

    with pytest.raises(ProcessFailedError, match="unknown cluster"):
        getattr(place.kind, export)(SPEC, place.folder / "target")
