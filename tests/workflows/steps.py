"""The workflows' steps, and a runner for them: a step's own text in its own environment."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_SHELL_SECONDS = 3600  # of what hangs: a step may build an image


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One step of one job."""

    workflow: str
    job: str
    name: str
    script: str  # empty for an action
    env: Mapping[str, str]  # of workflow, job and step, expressions unresolved
    matrix: Mapping[str, tuple[str, ...]]
    content: Mapping[str, Any]  # all of it but its name: uses, run, with, env, if

    def __str__(self) -> str:
        return f"{self.workflow}/{self.job}/{self.name}"

    def variants(self) -> Iterator[dict[str, str]]:
        """Yield the values that its matrix gives; one empty set without a matrix."""
        if not self.matrix:
            yield {}
        for key, values in self.matrix.items():
            yield from ({f"matrix.{key}": value} for value in values)

    def environment(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return its environment; an expression that nobody knows is a KeyError."""
        return {
            name: _EXPRESSION.sub(lambda found: known[found[1]], value) for name, value in self.env.items()
        }


@cache
def flows() -> Mapping[str, Any]:
    """Return the workflows by the names of their files."""
    return {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yml"))
    }


def all_steps() -> tuple[FlowStep, ...]:
    """Return the steps of all workflows."""
    return tuple(_steps())


def named(name: str) -> FlowStep:
    """Return the first step of a name; equal names mean equal scripts."""
    return next(one for one in all_steps() if one.name == name)


def run_script(
    script: str, *, env: Mapping[str, str], cwd: Path, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    """Run a step's text as GitHub's runner does: bash, ending at the first failure."""
    return subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-e", "-c", script],
        env={"PATH": path, "HOME": os.environ.get("HOME", "/"), **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SHELL_SECONDS,
    )


def _steps() -> Iterator[FlowStep]:
    for name, flow in flows().items():
        for job, content in flow["jobs"].items():
            matrix = content.get("strategy", {}).get("matrix", {})
            for step in content.get("steps", ()):
                env = {**flow.get("env", {}), **content.get("env", {}), **step.get("env", {})}
                yield FlowStep(
                    name,
                    job,
                    step.get("name", ""),
                    step.get("run", ""),
                    env,
                    {key: tuple(values) for key, values in matrix.items()},
                    {key: value for key, value in step.items() if key != "name"},
                )
