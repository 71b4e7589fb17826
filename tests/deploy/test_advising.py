"""What to do next about a failure: a command for every kind, and only commands that exist."""

from __future__ import annotations

import re

import click
import pytest
from rehearsal.cli.main import rehearsal
from rehearsal.deploy.advising import next_step
from rehearsal.deploy.rollouts import Rollout
from rehearsal.deploy.snapshot import ResourceState

_LATE = Rollout("deployment", "shop", "cart", wanted=2, updated=2, ready=1, present=2, observed=True)


def _state(**changed: object) -> ResourceState:
    known = {"name": "cart", "enabled": True, "update": "ok", "runtime": "pending", "error": ""}
    return ResourceState(**{**known, "objects": ("cart:deployment",), "log_tail": (), **changed})  # type: ignore[arg-type]  # of a table


KINDS = {
    "build": _state(update="error", error="ImageBuild: failed to solve"),
    "apply": _state(update="error", error="kubernetes apply: invalid"),
    "command": _state(update="error", error='Command "sh" failed: exit status 1'),
    "pull": _state(runtime="error", pod_status="ErrImagePull"),
    "secret": _state(pod_status="CreateContainerConfigError"),
    "mounted": _state(pod_status="ContainerCreating", log_tail=('MountVolume failed: secret "x" not found',)),
    "room": _state(pod_status="Pending", log_tail=("0/1 nodes are available: 1 Insufficient cpu.",)),
    "job": _state(runtime="error", objects=("orders-migrations:job",)),
    "crash": _state(runtime="error", pod_status="CrashLoopBackOff"),
    "never-ready": _state(pod_status="Running"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_failure_has_a_next_command(kind: str) -> None:
    assert _commands(next_step(KINDS[kind])) != []


@pytest.mark.parametrize("kind", KINDS)
def test_only_commands_that_exist_are_named(kind: str) -> None:
    for words in _commands(next_step(KINDS[kind])):
        _find(words)


def test_what_has_passed_since_is_no_reason() -> None:
    lines = ("0/1 nodes are available: unbound claims.", 'MountVolume failed: secret "x" not found')
    late = _state(pod_status="Running", log_tail=lines)
    assert next_step(late) == next_step(KINDS["never-ready"])


def test_replicas_that_are_missing_are_asked_about_in_their_namespace() -> None:
    assert "kubectl --namespace shop describe deployment cart" in next_step(_state(runtime="ok"), [_LATE])


def _commands(text: str) -> list[list[str]]:
    return [found.split()[1:] for found in re.findall(r"`(rehearsal [^`]+)`", text)]


def _find(words: list[str]) -> None:
    """Raise AssertionError for words that are no command with options of its own."""
    command: click.Command = rehearsal
    for word in words:
        if isinstance(command, click.Group):
            assert word in command.commands, f"there is no `rehearsal {' '.join(words)}`"
            command = command.commands[word]
        elif word.startswith("--"):
            assert word in [option for one in command.params for option in one.opts]
