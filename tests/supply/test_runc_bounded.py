"""The runtime shim, run as containerd runs it, under a bounding set that lacks capabilities."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rehearsal.supply import capabilities

SHIM = Path(__file__).resolve().parents[2] / "kind/engine/runc-bounded"
DROPPED = ("CAP_MKNOD", "CAP_SYS_RESOURCE", "CAP_BPF")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("perl"),
    reason="drops capabilities: root, setpriv and perl",
)


def _run(*arguments: str | Path) -> None:
    """Run the shim without some capabilities; runc's own judgement of the files does not matter here."""
    lost = {
        name.removeprefix("CAP_").lower()
        for name in DROPPED
        if name not in capabilities.missing_for_process()
    }
    drop = ",".join(f"-{name}" for name in sorted(lost)) or "+all"
    subprocess.run(
        ["setpriv", f"--bounding-set={drop}", SHIM, *arguments],  # noqa: S607
        check=False,
        capture_output=True,
    )


def _process(**more: object) -> dict[str, Any]:
    every = [f"CAP_{name}" for name in capabilities.CAPABILITIES]
    return {
        "args": ["true"],
        "capabilities": {"bounding": every, "effective": every, "ambient": None},
        **more,
    }


def _bundle(folder: Path, process: dict[str, Any]) -> Path:
    (folder / "config.json").write_text(json.dumps({"ociVersion": "1.0.2", "process": process}))
    return folder


def _process_of(folder: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((folder / "config.json").read_text())["process"]
    return parsed


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize("form", ["--bundle {}", "--bundle={}", "-b {}"])
def test_new_container_asks_only_for_what_the_host_has(tmp_path: Path, command: str, form: str) -> None:
    _bundle(tmp_path, _process())
    _run("--root", tmp_path / "state", command, *form.format(tmp_path).split(), "name")
    wanted = [f"CAP_{name}" for name in capabilities.CAPABILITIES if f"CAP_{name}" not in DROPPED]
    wanted = [name for name in wanted if name not in capabilities.missing_for_process()]
    assert _process_of(tmp_path)["capabilities"] == {"bounding": wanted, "effective": wanted, "ambient": None}


def test_exec_asks_only_for_what_the_host_has(tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text(json.dumps(_process()))
    _run("--root", tmp_path / "state", "exec", "--process", file, "name")
    assert not set(DROPPED) & set(json.loads(file.read_text())["capabilities"]["bounding"])


def test_everything_but_the_capabilities_stays_byte_by_byte(tmp_path: Path) -> None:
    tricky = ["CAP_MKNOD", 'say "capabilities":{"x":["CAP_MKNOD"]}', "back\\slash\\", "ümlaut\u2028", "{[,"]
    process = _process(args=tricky, env=['A="capabilities": {"bounding":["CAP_MKNOD"]}'])
    before = _process_of(_bundle(tmp_path, process))
    _run("create", "--bundle", tmp_path, "name")
    after = _process_of(tmp_path)
    del before["capabilities"], after["capabilities"]
    assert after == before


@pytest.mark.parametrize("command", ["state", "kill", "delete", "start"])
def test_other_commands_touch_no_file(tmp_path: Path, command: str) -> None:
    _bundle(tmp_path, _process())
    before = (tmp_path / "config.json").read_bytes()
    _run(command, "--bundle", tmp_path, "create")
    assert (tmp_path / "config.json").read_bytes() == before


def test_file_keeps_its_mode_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    _bundle(tmp_path, _process())
    (tmp_path / "config.json").chmod(0o640)
    _run("create", "--bundle", tmp_path, "name")
    left = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert left == {"config.json": 0o640}


def test_capability_numbers_agree_with_the_harness() -> None:
    text = SHIM.read_text(encoding="utf-8")
    names = text.partition("qw(\n    CHOWN")[2].partition(")")[0].split()
    assert ("CHOWN", *names) == capabilities.CAPABILITIES


def test_runc_is_started_with_all_arguments() -> None:
    version = subprocess.run([SHIM, "--version"], check=True, capture_output=True, text=True).stdout
    assert version.startswith("runc version")
