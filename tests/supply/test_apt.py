"""Installing Debian's packages: apt's own words when it does not succeed."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import ignore, step
from rehearsal.supply import apt


def _apt(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "apt-get"
    program.write_text(f'#!/bin/sh\necho "$*" >> {folder}/said\n{script}\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def _install(folder: Path) -> None:
    with step(ignore, "image", "debian") as progress:
        apt.install(["a-tool"], code="TOOL_MISSING", what="a tool", log=folder / "log", progress=progress)


def test_lists_are_read_before_anything_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _apt(tmp_path, "", monkeypatch)
    _install(tmp_path)

    update, install = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install --yes --no-install-recommends a-tool")


def test_what_apt_says_and_the_command_by_hand_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apt(tmp_path, "echo 'E: Unable to locate package a-tool'; exit 100", monkeypatch)
    with pytest.raises(EnvironmentNotReadyError, match="Unable to locate package") as caught:
        _install(tmp_path)

    assert caught.value.code == "TOOL_MISSING"
    assert "apt-get install --no-install-recommends a-tool" in caught.value.hint


def test_machine_without_apt_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert not apt.can_install()
