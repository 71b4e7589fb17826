"""The store: whole or not at all, verified at use, one builder at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.waiting import wait_until
from rehearsal.supply.store import MANIFEST, Store, Wanted, damages

from tests.supply.fakes import Recorder

WANTED = Wanted("thing", "1", {"pin": "a"})
_LONG_SECONDS = 60.0


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def store(tmp_path: Path, recorder: Recorder) -> Store:
    return Store(tmp_path / "supplies", locks=tmp_path / "locks", emit=recorder)


class Builder:
    """Fills an entry, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, target: Path, scratch: Path) -> Mapping[str, str]:
        self.count += 1
        (scratch / "intermediate").write_text("x")
        (target / "bin").mkdir()
        (target / "bin" / "tool").write_text("tool")
        (target / "bin" / "tool").chmod(0o755)
        (target / "data").write_text("data")
        (target / "link").symlink_to("data")
        return {"compiler": "1"}


def visible(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.glob("thing/*"))


def test_an_entry_is_built_once(store: Store) -> None:
    builder = Builder()
    first, second = store.ensure(WANTED, builder), store.ensure(WANTED, builder)
    assert (builder.count, first.folder) == (1, second.folder)


def test_the_manifest_says_what_how_and_from_what(store: Store) -> None:
    manifest = store.ensure(WANTED, Builder()).manifest
    assert manifest.inputs == {"pin": "a"}
    assert manifest.made_with == {"compiler": "1"}
    assert {name: record.kind for name, record in manifest.files.items()} == {
        "bin/tool": "program",
        "data": "file",
        "link": "link",
    }


@pytest.mark.parametrize(
    "other",
    [
        Wanted("thing", "2", {"pin": "a"}),
        Wanted("thing", "1", {"pin": "b"}),
        Wanted("thing", "1", {"pin": "a", "x": 1}),
    ],
)
def test_any_other_input_is_another_entry(store: Store, other: Wanted) -> None:
    builder = Builder()
    store.ensure(WANTED, builder)
    store.ensure(other, builder)
    assert builder.count == 2


def test_an_input_that_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        _ = Wanted("thing", "1", {"pin": object()}).key


@pytest.mark.parametrize("defect", ["content", "mode", "missing", "link", "manifest"])
def test_a_damaged_entry_is_set_aside_rebuilt_and_said(store: Store, recorder: Recorder, defect: str) -> None:
    builder = Builder()
    folder = store.ensure(WANTED, builder).folder
    match defect:
        case "content":
            (folder / "data").write_text("Data")
        case "mode":
            (folder / "bin" / "tool").chmod(0o644)
        case "missing":
            (folder / "data").unlink()
        case "link":
            (folder / "link").unlink()
            (folder / "link").symlink_to("bin")
        case _:
            (folder / MANIFEST).write_text("{")
    entry = store.ensure(WANTED, builder)
    assert (builder.count, damages(entry)) == (2, [])
    assert "damaged" in recorder.notices[0]
    assert any(name.startswith(".damaged-") for name in visible(store))


def test_an_intact_entry_has_no_damage(store: Store, recorder: Recorder) -> None:
    assert damages(store.ensure(WANTED, Builder())) == []
    assert recorder.notices == []


def test_a_failed_build_leaves_nothing(store: Store) -> None:
    def fail(target: Path, scratch: Path) -> Mapping[str, str]:
        (target / "half").write_text("half")
        raise EnvironmentNotReadyError("NO", "no", hint="no")

    with pytest.raises(EnvironmentNotReadyError):
        store.ensure(WANTED, fail)
    assert visible(store) == []


def test_a_recipe_that_makes_nothing_is_an_error(store: Store) -> None:
    with pytest.raises(HarnessError, match="made no files"):
        store.ensure(WANTED, lambda target, scratch: {})


def _start(folder: Path, mode: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("store_builder.py")
    return subprocess.Popen([sys.executable, str(script), str(folder), mode], stdout=subprocess.PIPE)


def test_kill_9_in_the_middle_of_a_build_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with _start(tmp_path, "block") as blocked:
        wait_until(
            "build begins", (tmp_path / "builds").exists, timeout_seconds=_LONG_SECONDS, hint="see stderr"
        )
        blocked.send_signal(signal.SIGKILL)
    left = [path.name for path in (tmp_path / "supplies" / "thing").iterdir()]
    assert all(name.startswith(".building-") for name in left)
    assert left
    with _start(tmp_path, "go") as second:
        folder = Path(second.communicate(timeout=_LONG_SECONDS)[0].decode())
    assert (folder / "whole").read_text() == "whole"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_of_two_builders_at_once_the_second_waits_and_takes_the_result(tmp_path: Path) -> None:
    with _start(tmp_path, "meet") as first, _start(tmp_path, "meet") as second:
        folders = {process.communicate(timeout=_LONG_SECONDS)[0] for process in (first, second)}
    assert len(folders) == 1
    assert (tmp_path / "builds").read_text().splitlines() == ["meet"]
    assert "which does: build thing 1" in (tmp_path / "notices").read_text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield folder
    subprocess.run(["/usr/bin/umount", str(folder)], check=True)


def test_a_nearly_full_disk_is_said_before_the_build(
    small_disk: Path, tmp_path: Path, recorder: Recorder
) -> None:
    store, builder = Store(small_disk, locks=tmp_path / "locks", emit=recorder), Builder()
    with pytest.raises(EnvironmentNotReadyError, match=r"thing needs 2\.0 GiB") as caught:
        store.ensure(Wanted("thing", "1", {}, disk_bytes=2 << 30), builder)
    assert (caught.value.code, builder.count) == ("DISK_NEARLY_FULL", 0)


def test_a_disk_that_becomes_full_is_named_and_left_clean(
    small_disk: Path, tmp_path: Path, recorder: Recorder
) -> None:
    def build(target: Path, scratch: Path) -> Mapping[str, str]:
        (target / "large").write_bytes(bytes(2 << 20))
        return {}

    store = Store(small_disk, locks=tmp_path / "locks", emit=recorder)
    with pytest.raises(EnvironmentNotReadyError) as caught:
        store.ensure(WANTED, build)
    assert caught.value.code == "DISK_FULL"
    assert visible(store) == []


def test_prune_keeps_what_is_used_and_takes_the_rest(store: Store) -> None:
    kept, stale = store.ensure(WANTED, Builder()), store.ensure(Wanted("thing", "0", {}), Builder())
    store.set_aside(store.ensure(Wanted("thing", "00", {}), Builder()).folder, ["test"])
    removed = store.prune({kept.key})
    assert stale.folder in removed
    assert visible(store) == [kept.folder.name]
