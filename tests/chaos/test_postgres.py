"""Closing a service's database: by the superuser, with the proof that nobody is left in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.chaos import postgres
from rehearsal.chaos.postgres import Postgres
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.waiting import WaitTimeoutError


def _server(folder: Path, script: str) -> Postgres:
    """A server behind a kubectl that writes down what it is told."""
    program = folder / "kubectl"
    said = f'printf "%s\\n" "$*" >> {folder}/said'
    program.write_text(f"#!/bin/sh\n{said}\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return Postgres(program, folder / "kubeconfig", "kind-mambogo")


def _said(folder: Path) -> str:
    return (folder / "said").read_text(encoding="utf-8")


def test_nobody_is_let_in_and_whoever_is_in_is_ended(tmp_path: Path) -> None:
    _server(tmp_path, 'case "$*" in *count*) echo 0;; esac').refuse("inventory")

    closed, ended, counted = _said(tmp_path).splitlines()
    assert closed.endswith("--command=ALTER DATABASE inventory ALLOW_CONNECTIONS false")
    assert "pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'inventory'" in ended
    assert all("--username=postgres --dbname=postgres" in line for line in (closed, ended, counted))


def test_database_that_keeps_its_connections_was_not_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_GONE_SECONDS", 0.0)
    with pytest.raises(WaitTimeoutError, match="3 connections"):
        _server(tmp_path, "echo 3").refuse("inventory")


def test_server_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="is not running"):
        _server(tmp_path, "echo 'container is not running'; exit 1").admit("inventory")
