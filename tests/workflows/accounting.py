"""Whether every step of every workflow is run here, or is, word for word, one of those that cannot be. Pure.

A name is no proof: another action, other inputs or a condition under a known name is another step.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tests.workflows.steps import FlowStep

# What a step may consist of. Another shell, a folder or `continue-on-error` would change what a step means.
_PARTS = {"uses", "run", "with", "env", "if"}
_FLOW_PARTS = {"name", True, "permissions", "env", "jobs"}  # YAML 1.1 reads the key `on` as true
# No `container`, `services` or `defaults`: they run, or change, what no step says.
_JOB_PARTS = {
    "name", "runs-on", "needs", "if", "timeout-minutes", "permissions", "strategy", "env", "environment",
    "concurrency", "steps", "uses",
}  # fmt: skip
_ALWAYS = "always()"
_OWN = "./.github/workflows/"


def deviations(
    steps: Sequence[FlowStep], listed: Sequence[Mapping[str, Any]], scripts: Collection[str]
) -> Iterator[str]:
    """Yield what is wrong with steps.

    `listed` are those that cannot be run here; `scripts` are names of steps that tests run as they are.
    """
    forms = {one["name"]: tuple(_forms(one)) for one in listed}
    known: dict[str, Mapping[str, Any]] = {}
    for step in steps:
        if step.name in forms:
            if step.content not in forms[step.name]:
                yield f"{step}: it is not what is listed under this name"
            continue
        if known.setdefault(step.name, step.content) != step.content:
            yield f"{step}: another step has the same name and does something else"
        yield from (f"{step}: {why}" for why in _not_runnable(step, scripts))
    used = {one.name for one in steps}
    yield from (f"{name}: it is listed, and no workflow has it" for name in forms if name not in used)


def _forms(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what a step of this name may be; it may be listed with several sets of inputs."""
    whole = {key: value for key, value in entry.items() if key in _PARTS - {"with"}}
    yield from ({**whole, "with": one} for one in entry.get("with", ()))
    if "with" not in entry:
        yield whole


def _not_runnable(step: FlowStep, scripts: Collection[str]) -> Iterator[str]:
    if not step.name:
        yield "it has no name"
    if unknown := sorted(map(str, step.content.keys() - _PARTS)):
        yield f"nobody knows here what {', '.join(unknown)} does"
    if not step.script:
        yield "it is an action that is not listed"
    elif step.name not in scripts and not is_one_session(step.script):
        yield "it is no single nox session"
    elif step.content.get("if", _ALWAYS) != _ALWAYS:
        yield "a condition could leave it out"


def is_one_session(script: str) -> bool:
    """Return whether a script is `nox -s SESSION` or `nox -s SESSION -- ...`, and nothing else."""
    script = script.strip()
    if any(sign in script for sign in ("\n", "`", "$(")):
        return False
    lexer = shlex.shlex(script, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that nobody closes
        return False
    # The suites' sessions have brackets in their quoted names; operators are words of nothing else.
    if any(word and set(word) <= set("();<>|&") for word in words):
        return False
    return words[:2] == ["nox", "-s"] and (len(words) == 3 or words[3:4] == ["--"])


def hidden_work(flows: Mapping[str, Any]) -> Iterator[str]:
    """Yield what workflows and jobs have beside steps that could do work of its own."""
    for name, flow in flows.items():
        yield from (f"{name}: {key}" for key in flow.keys() - _FLOW_PARTS)
        for job, content in flow["jobs"].items():
            yield from (f"{name}/{job}: {key}" for key in content.keys() - _JOB_PARTS)
            called = content.get("uses", "")
            if called and called.removeprefix(_OWN).removesuffix(".yml") not in flows:
                yield f"{name}/{job}: it calls {called}, whose steps nobody looks at"
