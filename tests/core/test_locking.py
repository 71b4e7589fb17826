"""Locks between real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from rehearsal.core.events import Event, Notice, ignore
from rehearsal.core.locking import Waiter, exclusive
from rehearsal.core.waiting import NotYet, WaitTimeoutError

HOLDER = """
import sys
from pathlib import Path
from rehearsal.core.events import ignore
from rehearsal.core.locking import exclusive
with exclusive(Path(sys.argv[1]), purpose="cluster up", emit=ignore):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock in another process until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder


def _take(path: Path, seen: list[Event], *, timeout_seconds: float = 60) -> None:
    with exclusive(path, purpose="cluster down", emit=seen.append, timeout_seconds=timeout_seconds):
        pass


def test_free_lock_is_taken_without_a_word(tmp_path: Path) -> None:
    seen: list[Event] = []

    _take(tmp_path / "locks" / "cluster.lock", seen)

    assert seen == []


def test_waiter_says_for_whom_and_for_what_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "cluster.lock"
    seen: list[Event] = []

    with _held_elsewhere(path) as holder, pytest.raises(WaitTimeoutError) as caught:
        _take(path, seen, timeout_seconds=0)

    (notice,) = seen
    assert isinstance(notice, Notice)
    assert notice.message == f"waiting for process {holder.pid}, which does: cluster up"
    assert str(holder.pid) in caught.value.message


def test_waiter_gets_the_lock_when_the_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "cluster.lock"
    seen: list[Event] = []

    with _held_elsewhere(path) as holder:
        waiter = Thread(target=_take, args=(path, seen))
        waiter.start()
        assert holder.stdin
        holder.stdin.close()
        waiter.join()

    assert not path.read_text(encoding="utf-8")


def test_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "cluster.lock"

    with _held_elsewhere(path) as holder:
        holder.kill()
        holder.wait()
        seen: list[Event] = []
        _take(path, seen, timeout_seconds=0)

    assert seen == []


def test_lock_is_released_when_the_work_fails(tmp_path: Path) -> None:
    path = tmp_path / "cluster.lock"

    with pytest.raises(KeyboardInterrupt), exclusive(path, purpose="up", emit=ignore):
        raise KeyboardInterrupt
    seen: list[Event] = []
    _take(path, seen, timeout_seconds=0)

    assert seen == []


def test_child_of_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "cluster.lock"

    with exclusive(path, purpose="up", emit=ignore):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    try:
        seen: list[Event] = []
        _take(path, seen, timeout_seconds=0)
    finally:
        child.communicate("\n")

    assert seen == []


@pytest.mark.parametrize("content", ["", "{", "7", '{"pid": 7}', "[]"])
def test_holder_without_a_name_is_another_process(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.lock"

    with _held_elsewhere(path):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(WaitTimeoutError) as caught:
            _take(path, [], timeout_seconds=0)

    assert caught.value.last == "another process"


NAMED = '{"pid": 7, "purpose": "cluster up"}'
OTHER = '{"pid": 8, "purpose": "cluster down"}'
FOR_NAMED = "waiting for process 7, which does: cluster up"
FOR_OTHER = "waiting for process 8, which does: cluster down"


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        pytest.param(["", "", NAMED, NAMED], [FOR_NAMED], id="named late"),
        pytest.param([NAMED, "", OTHER, OTHER], [FOR_NAMED, FOR_OTHER], id="another holder"),
        pytest.param([""] * 9, ["waiting for another process"], id="never named"),
        pytest.param([*[""] * 9, NAMED], ["waiting for another process", FOR_NAMED], id="named very late"),
    ],
)
def test_each_holder_is_named_once_when_its_name_is_known(
    tmp_path: Path, contents: list[str], said: list[str]
) -> None:
    path = tmp_path / "cluster.lock"
    seen: list[Event] = []
    waiter = Waiter(path, lambda: False, seen.append)

    for content in contents:
        path.write_text(content, encoding="utf-8")
        with pytest.raises(NotYet):
            waiter.look()

    assert [one.message for one in seen if isinstance(one, Notice)] == said


def test_file_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "cluster.lock"

    with exclusive(path, purpose="cluster up", emit=ignore):
        assert str(os.getpid()) in path.read_text(encoding="utf-8")
