"""CPU time of containers: found and read in the node's control groups, of version 1 and of version 2."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rehearsal.cluster.engine import _Lines
from rehearsal.cluster.usage import (
    CounterGoneError,
    PodOnNode,
    counter_file,
    parse,
    reading,
    ready_pods,
)
from rehearsal.core.errors import EnvironmentNotReadyError

ID = "3f" * 32
POD = PodOnNode("order-a", "mambogo-control-plane", ID, "")
_V2_STAT = "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n"
_V1_STAT = "nr_periods 0\nnr_throttled 0\n"


@dataclass
class LocalNodes:
    """A node that is a folder: the very programs that run in a node run here."""

    root: Path

    def execute(self, container: str, argv: list[str]) -> str:
        """Run a program."""
        here = [word.replace("/sys/fs/cgroup", str(self.root)) for word in argv]
        return subprocess.run(here, capture_output=True, text=True, check=True).stdout

    @contextmanager
    def converse(self, container: str, argv: tuple[str, ...]) -> Iterator[Callable[[str], str]]:
        """Have a program answer lines."""
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:

            def ask(line: str) -> str:
                assert program.stdin is not None
                assert program.stdout is not None
                program.stdin.write(f"{line}\n")
                program.stdin.flush()
                return program.stdout.readline().removesuffix("\n")

            yield ask


def _write(root: Path, group: str, files: Mapping[str, str]) -> Path:
    folder = root / group
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content, "ascii")
    return folder


@pytest.fixture
def nodes(tmp_path: Path) -> LocalNodes:
    """Return a node with other groups in it."""
    _write(tmp_path, "kubelet/kubepods/pod1/" + "aa" * 32, {"cpu.stat": _V2_STAT})
    return LocalNodes(tmp_path)


def test_version_1_counts_nanoseconds(nodes: LocalNodes) -> None:
    _write(nodes.root, f"cpu/kubelet/kubepods/pod2/{ID}", {"cpu.stat": _V1_STAT})
    _write(nodes.root, f"cpuacct/kubelet/kubepods/pod2/{ID}", {"cpuacct.usage": "987654321\n"})
    with reading(nodes) as counters:
        assert counters.nanoseconds([POD]) == 987_654_321


def test_version_2_counts_microseconds(nodes: LocalNodes) -> None:
    _write(nodes.root, f"kubelet.slice/pod2.slice/cri-containerd-{ID}.scope", {"cpu.stat": _V2_STAT})
    with reading(nodes) as counters:
        assert counters.nanoseconds([POD]) == 1_234_000


def test_counter_is_read_anew_each_time(nodes: LocalNodes) -> None:
    folder = _write(nodes.root, f"cpuacct/{ID}", {"cpuacct.usage": "1\n"})
    with reading(nodes) as counters:
        before = counters.nanoseconds([POD])
        (folder / "cpuacct.usage").write_text("5\n", "ascii")
        assert counters.nanoseconds([POD]) - before == 4


def test_pods_are_counted_together(nodes: LocalNodes) -> None:
    other = PodOnNode("order-b", POD.node, "4e" * 32, "")
    for pod, value in ((POD, "3\n"), (other, "4\n")):
        _write(nodes.root, f"cpuacct/{pod.container_id}", {"cpuacct.usage": value})
    with reading(nodes) as counters:
        assert counters.nanoseconds([POD, other]) == 7


def test_container_that_ended_under_way_is_told_apart(nodes: LocalNodes) -> None:
    folder = _write(nodes.root, f"cpuacct/{ID}", {"cpuacct.usage": "1\n"})
    with reading(nodes) as counters:
        counters.nanoseconds([POD])
        (folder / "cpuacct.usage").unlink()
        with pytest.raises(CounterGoneError, match="order-a has ended"):
            counters.nanoseconds([POD])


def test_container_that_ended_before_has_no_counter(nodes: LocalNodes) -> None:
    with reading(nodes) as counters, pytest.raises(CounterGoneError, match="order-a has no counter"):
        counters.nanoseconds([POD])


def test_group_of_the_container_itself_is_taken_before_those_in_it() -> None:
    found = [f"/g/{ID}/init/cpu.stat", f"/g/{ID}/cpu.stat"]
    assert counter_file(found, POD) == f"/g/{ID}/cpu.stat"


@pytest.mark.parametrize("line", ["", "nr_periods 0", "usage_usec", "-1"])
def test_anything_else_is_no_counter(line: str) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="counter of CPU time"):
        parse(line)


def _pod(name: str, began: str, *, ready: bool = True, leaving: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"name": name} | ({"deletionTimestamp": began} if leaving else {}),
        "spec": {"nodeName": "node"},
        "status": {
            "startTime": began,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"containerID": f"containerd://{name}-id"}],
        },
    }


class Api:
    """Answers with pods."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = pods

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Answer the one path that there is."""
        if path == "/api/v1/namespaces/shop/pods?labelSelector=app%3Dorder-service":
            return {"items": self.pods}
        return None


def test_ready_pods_are_the_oldest_first() -> None:
    api = Api(_pod("young", "2026-01-02T00:00:00Z"), _pod("old", "2026-01-01T00:00:00Z"))
    found = ready_pods(api, "shop", "order-service")
    assert [(one.name, one.container_id) for one in found] == [("old", "old-id"), ("young", "young-id")]


def test_pods_that_are_not_ready_or_leave_are_not_among_them() -> None:
    at = "2026-01-01T00:00:00Z"
    api = Api(_pod("starting", at, ready=False), _pod("leaving", at, leaving=True))
    assert ready_pods(api, "shop", "order-service") == ()


@contextmanager
def _engine(*frames: bytes) -> Iterator[_Lines]:
    """Yield a conversation with an engine that answers the first line with these frames."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs:
            assert theirs.recv(100) == b"file\n"
            for one in frames:
                theirs.sendall(bytes([1, 0, 0, 0]) + len(one).to_bytes(4, "big") + one)

    thread = threading.Thread(target=answer)
    thread.start()
    lines = _Lines(ours)
    try:
        yield lines
    finally:
        lines.close()
        thread.join()


def test_answer_may_come_in_pieces() -> None:
    with _engine(b"usage_", b"usec 12", b"\n") as lines:
        assert lines.ask("file") == "usage_usec 12"


def test_program_that_ended_is_no_answer() -> None:
    with _engine(b"12") as lines, pytest.raises(EnvironmentNotReadyError, match="does not answer"):
        lines.ask("file")
