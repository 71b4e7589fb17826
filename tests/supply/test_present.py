"""Programs on PATH: only exactly the pinned version is taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal.supply import present

_KUBECTL = {"clientVersion": {"gitVersion": "v1.34.4"}, "kustomizeVersion": "v5.7.1"}


def put(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def say(text: str) -> str:
    return f"cat <<'EOF'\n{text}\nEOF"


def find(tmp_path: Path, name: str, version: str, *folders: str) -> Path | None:
    search_path = ":".join(str(tmp_path / folder) for folder in folders or ("bin",))
    return present.find(name, version, search_path=search_path, exclude=tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "version", "answer"),
    [
        ("kind", "0.31.0", "kind v0.31.0 go1.25.5 linux/amd64"),
        ("kubectl", "1.34.4", json.dumps(_KUBECTL)),
        ("tilt", "0.37.6", "v0.37.6, built 2026-10-01"),
        ("tilt", "0.37.6", "v0.37.6, built "),
    ],
)
def test_the_pinned_version_is_taken(tmp_path: Path, name: str, version: str, answer: str) -> None:
    program = put(tmp_path / "bin", name, say(answer))
    assert find(tmp_path, name, version) == program


@pytest.mark.parametrize(
    ("name", "version", "body"),
    [
        ("kubectl", "1.34.4", say(json.dumps({"clientVersion": {"gitVersion": "v1.34.4-dispatcher"}}))),
        ("kubectl", "1.34.4", say(json.dumps({"clientVersion": {"gitVersion": "v1.32.4-dispatcher"}}))),
        ("kubectl", "1.34.4", say("Client Version: v1.34.4")),
        ("kubectl", "1.34.4", say(json.dumps(["v1.34.4"]))),
        ("kubectl", "1.34.4", "exit 1"),
        ("kind", "0.31.0", say("kind v0.31.0-alpha+1 go1.26 linux/amd64")),
        ("kind", "0.31.0", say("kind v0.30.0 go1.26 linux/amd64")),
        ("kind", "0.31.0", say("this is not kind v0.31.0")),
        ("tilt", "0.37.6", say("v0.37.6-dev, built 2026-10-01")),
        ("tilt", "0.37.6", say("tilt: a template engine 0.37.6")),
    ],
)
def test_anything_else_of_that_name_is_not(tmp_path: Path, name: str, version: str, body: str) -> None:
    put(tmp_path / "bin", name, body)
    assert find(tmp_path, name, version) is None


def test_a_later_folder_is_looked_at_when_the_first_has_another_version(tmp_path: Path) -> None:
    put(tmp_path / "a", "kind", say("kind v0.1.0 go1 linux/amd64"))
    second = put(tmp_path / "b", "kind", say("kind v0.31.0 go1.26 linux/amd64"))
    assert find(tmp_path, "kind", "0.31.0", "a", "b") == second


def test_the_projects_own_cache_on_path_is_not_present(tmp_path: Path) -> None:
    put(tmp_path / "cache" / "bin", "kind", say("kind v0.31.0 go1.26 linux/amd64"))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "kind").symlink_to(tmp_path / "cache" / "bin" / "kind")
    assert find(tmp_path, "kind", "0.31.0", "cache/bin", "links") is None


def test_a_program_nobody_can_recognise_is_never_taken(tmp_path: Path) -> None:
    put(tmp_path / "bin", "etcd", say("3.6.5"))
    assert find(tmp_path, "etcd", "3.6.5") is None
