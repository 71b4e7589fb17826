"""Runs whole test sessions of their own, in processes of their own, for the tests of the plugin."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from mambogo_testkit.engine import connect, sweep
from mambogo_testkit.keeping import VARIABLE
from support import Session

# Plugins that such a session has no use for: most of its work would be to import them.
_UNUSED = ("cacheprovider", "schemathesis", "hypothesispytest", "asyncio", "anyio")
_WITHOUT = [word for name in _UNUSED for word in ("-p", f"no:{name}")]


@pytest.fixture
def engine_client() -> Iterator[docker.DockerClient]:
    """A connection to the Docker engine."""
    client = connect()
    yield client
    client.close()


@pytest.fixture
def start_session(tmp_path: Path) -> Iterator[Session]:
    """Start pytest on the given source; each session that still runs is killed afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        file = tmp_path / "test_inner.py"
        file.write_text(source, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", *_WITHOUT, *arguments, str(file)],
            cwd=tmp_path,
            # What it starts is its own, and not of the keeper that this run may have.
            env={name: value for name, value in os.environ.items() if name != VARIABLE} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A background job of a shell is started with SIGINT ignored, and hands that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    with contextlib.closing(connect()) as client:
        sweep(client)
