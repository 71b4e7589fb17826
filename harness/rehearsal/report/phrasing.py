"""The sentences that every form of the report shares."""

from __future__ import annotations

import shlex
from itertools import chain, pairwise

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.model import CheckReport, Report, Run

WORST = 3  # findings as sentences on top; more are not read
# Told apart by shape, not by colour alone.
MARKS = {
    Ending.PASS: "✓",
    Ending.FAIL: "✗",
    Ending.INVALID: "?",
    Ending.ABORTED: "■",
    Ending.ERROR: "!",
    Ending.ENVIRONMENT: "!",
    Ending.USAGE: "!",
    Ending.INTERRUPTED: "■",
    Ending.NOT_RUN: "-",
}


RUNNING = "RUNNING"  # what a run is called as long as it has no verdict


def headline(report: Report, *, going_on: bool | None = None) -> str:
    """Return the verdict as a sentence; of a run without an end, whether it is going on if that is known."""
    if not report.complete:
        match going_on:
            case True:
                return "The run is still going on; this is what it has said so far."
            case False:
                return "The run was cut off; this is what it had said by then."
        return "The run has not come to its end; this is what it had said by then."
    failed, blind = len(report.of_verdict(Verdict.FAIL)), len(report.of_verdict(Verdict.INVALID))
    every = len(report.checks)
    match report.verdict:
        case Ending.PASS if every:
            return f"All {every} checks hold."
        case Ending.PASS:
            return "The stages came to their end; nothing was checked."
        case Ending.FAIL if failed:
            return f"{failed} of {every} checks {'does' if failed == 1 else 'do'} not hold."
        case Ending.INVALID if blind:
            return f"No check failed, but {blind} of {every} could not look."
    return _cause(report)


def _cause(report: Report) -> str:
    stage = next((one for one in report.stages if one.ending is report.verdict), None)
    if stage is not None:
        return f"{stage.name}: {stage.reason}"
    match report.verdict:
        case Ending.NOT_RUN:
            return "No stage was run."
        case Ending.INVALID:
            return "Nothing was judged: the stages that were run only prepare."
    return "See the notices."


def mark(verdict: Verdict | Ending) -> str:
    """Return the sign of a verdict."""
    return MARKS[Ending(verdict.value)]


def explain_command(check: CheckReport) -> str:
    """Return the command that explains a check."""
    return f"rehearsal explain {check.id}"


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def revision(report: Report) -> str:
    """Return which tree was tested."""
    sha = report.run.sha[:12] or "outside of git"
    return f"{sha} with changes" if report.run.changed else sha


def again(report: Report) -> str:
    """Return the command that repeats the run with the same draws."""
    run = report.run
    if not _is_e2e(run):
        # What repeats runs draws anew for each: one of them is an e2e run of its own, on a kept cluster.
        return f"rehearsal e2e --keep --profile {run.profile} --timing {run.timing} --seed {run.seed}"
    return run.command + ("" if " --seed" in run.command else f" --seed {run.seed}")


def stage_again(run: Run, stage: str) -> str:
    """Return the command that repeats one stage of a run on what is deployed, with the same draws."""
    options = _choices(run) if stage == "chaos" and _is_e2e(run) else []
    return shlex.join(["rehearsal", "e2e", "--stages", stage, *options, "--seed", str(run.seed)])


def there(run: Run, command: str) -> str:
    """Return a command as it works on the cluster of a run that chose one by its context."""
    chosen = _given(run, "--context")
    if not chosen or "--context" in command:
        return command
    if command.startswith("rehearsal up "):
        command = "rehearsal e2e --stages deploy"  # `up` is for the project's own cluster
    knows_it = command.startswith(("rehearsal e2e ", "rehearsal render"))
    return " ".join([command, *map(shlex.quote, chosen)]) if knows_it else command


def _choices(run: Run) -> list[str]:
    """Return the options of a run that decide which experiments there are."""
    thorough = [word for word in shlex.split(run.command) if word == "--thorough"]
    return [*thorough, *_given(run, "--experiment")]


def _given(run: Run, option: str) -> list[str]:
    """Return an option of a run's command as it was given, with its values."""
    words = shlex.split(run.command)
    joined = [word for word in words if word.startswith(f"{option}=")]
    apart = [[word, value] for word, value in pairwise(words) if word == option]
    return [*joined, *chain.from_iterable(apart)]


def _is_e2e(run: Run) -> bool:
    return shlex.split(run.command)[1:2] == ["e2e"]
