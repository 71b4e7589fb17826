"""Failpoints act where a test asks for them, and cannot be had in production."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import mambogo_chassis
from mambogo_chassis import failpoints
from mambogo_chassis.failpoint_actions import CRASH_STATUS
from mambogo_chassis.failpoints import FailpointError, InjectedError, Rule

PROGRAM = """
import asyncio, os
from mambogo_chassis import failpoints
failpoints.enable_from_environment(os.environ)
async def main():
    for _ in range(3):
        await failpoints.reach("here")
        print("passed", flush=True)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _off_afterwards() -> Iterator[None]:
    yield
    failpoints.disable()


def enable(text: str, profile: str | None = "test") -> tuple[Rule, ...]:
    environ = {failpoints.VARIABLE: text}
    if profile is not None:
        environ[failpoints.PROFILE_VARIABLE] = profile
    return failpoints.enable_from_environment(environ)


async def test_nothing_happens_unless_enabled() -> None:
    assert failpoints.enable_from_environment({failpoints.PROFILE_VARIABLE: "test"}) == ()
    await failpoints.reach("anywhere")


async def test_an_error_is_raised_at_its_place_only() -> None:
    enable("here=error")
    await failpoints.reach("elsewhere")
    with pytest.raises(InjectedError):
        await failpoints.reach("here")


async def test_an_action_can_begin_at_a_later_hit() -> None:
    enable("here=error@3")
    await failpoints.reach("here")
    await failpoints.reach("here")
    with pytest.raises(InjectedError):
        await failpoints.reach("here")


async def test_a_delay_takes_its_time() -> None:
    enable("here=delay(0.1)")
    started = time.monotonic()
    await failpoints.reach("here")
    assert time.monotonic() - started >= 0.1


def test_a_crash_ends_the_process_at_once() -> None:
    ended = run_program({failpoints.VARIABLE: "here=crash@2", failpoints.PROFILE_VARIABLE: "test"})
    assert (ended.returncode, ended.stdout) == (CRASH_STATUS, "passed\n")


@pytest.mark.parametrize(
    "profile", [None, "", "production", "prod", "test,production", "production test", "TEST", "default"]
)
def test_no_other_profile_may_enable_them(profile: str | None) -> None:
    with pytest.raises(FailpointError, match="is set under profile"):
        enable("here=error", profile)


def test_production_settings_refuse_to_start_with_them() -> None:
    ended = run_program({failpoints.VARIABLE: "here=crash", failpoints.PROFILE_VARIABLE: "production"})
    assert ended.returncode == 1
    assert "failpoints" in ended.stderr
    assert ended.stdout == ""


def test_a_production_build_holds_none_whatever_the_profile(tmp_path: Path) -> None:
    package = Path(mambogo_chassis.__file__).parent
    copy = tmp_path / "mambogo_chassis"
    copy.mkdir()
    for name in ("__init__.py", "errors.py", "failpoints.py"):
        shutil.copy(package / name, copy / name)
    ended = run_program(
        {
            failpoints.VARIABLE: "here=crash",
            failpoints.PROFILE_VARIABLE: "test",
            "PYTHONPATH": str(tmp_path),
        }
    )
    assert ended.returncode == 1
    assert "this build holds no failpoints" in ended.stderr


@pytest.mark.parametrize(
    "text", ["here", "here=explode", "here=delay", "here=crash(1)", "=crash", "a=crash@0"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(FailpointError, match="cannot read"):
        enable(text)


def run_program(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
