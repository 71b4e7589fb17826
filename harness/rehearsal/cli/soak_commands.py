"""`rehearsal soak`: clean runs until there are enough of them, and how sure that makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from rehearsal.cli.cluster_commands import json_option, profile_option, timing_option
from rehearsal.cli.console import say
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError
from rehearsal.core.verdicts import Ending, ExitCode, exit_code_of_ending

if TYPE_CHECKING:
    from rehearsal.core.events import Event
    from rehearsal.report.model import Report
    from rehearsal.stages.soaking import SoakRun

_MOST_BROKEN = 3  # runs in a row without a verdict: the machine, or the harness, needs somebody
_LOCK = ".lock"  # beside the log
# What may end one run and not the next. A mistake, the harness' own or the user's, is there every time.
_MAY_COME_RIGHT = (EnvironmentNotReadyError, HarnessError, KeyboardInterrupt)


@click.command()
@click.option("-n", "runs", type=click.IntRange(min=1), default=10, show_default=True, help="Runs in all.")
@click.option("--log", type=click.Path(path_type=Path), help="Where the runs are listed [runs/soak.ndjson].")
@profile_option
@timing_option
@json_option
def soak(runs: int, log: Path | None, profile: str | None, timing: str | None, as_json: bool) -> int:
    """Repeat `e2e` on a kept cluster until N runs of this tree have a verdict; every finding is a false one.

    It goes on where it was interrupted: the log has one line for each run. 1 when a run found something.
    """
    click.echo("Soaking ...", err=True)
    from rehearsal.core import catalogue
    from rehearsal.core.locking import exclusive
    from rehearsal.core.paths import find_root
    from rehearsal.stages import soaking

    root = find_root(Path.cwd())
    file = (log or root / soaking.LOG).resolve()
    known = catalogue.load(root)
    wanted = profile or known.cluster.default_profile
    conditions = {
        "tree": _tree(root, file),
        "profile": wanted,
        "timing": timing or known.profile(wanted).timing.value,
    }
    with exclusive(file.with_name(f"{file.name}{_LOCK}"), purpose="soak", emit=_say):
        return _soak(root, file, runs, conditions, as_json=as_json)


def _soak(root: Path, file: Path, runs: int, conditions: Mapping[str, str], *, as_json: bool) -> int:
    import json
    from dataclasses import asdict

    from rehearsal.stages import soaking

    if (killed := soaking.left(file)) is not None:
        soaking.append(file, _as_reported(root, killed))
    soaking.end(file)
    broken = 0
    while (found := soaking.soaked(soaking.of_kind(soaking.read(file), **conditions))).tries < runs:
        one, error = _run(conditions, lambda: _tree(root, file), lambda begun: soaking.begin(file, begun))
        soaking.append(file, one)
        soaking.end(file)
        say(f"{one.at} {one.ending} {one.seconds:.0f} s {' '.join(one.findings)}{one.error}\n")
        if error is not None and not isinstance(error, _MAY_COME_RIGHT):
            raise error
        broken = 0 if one.is_try else broken + 1
        if one.ending in (Ending.INTERRUPTED, Ending.ABORTED):
            return exit_code_of_ending(
                one.ending
            )  # nobody wants another one, or the machine has no room for it
        if broken == _MOST_BROKEN:
            raise EnvironmentNotReadyError(
                "SOAK_BROKEN",
                f"{broken} runs in a row ended without a verdict, the last as {one.ending}",
                hint=f"{_why(one)}; then run the same command again.",
            ) from error
    click.echo(json.dumps({**asdict(found), "bound": found.bound}) if as_json else str(found))
    return ExitCode.FAIL if found.false else ExitCode.PASS


def _tree(root: Path, log: Path) -> str:
    from rehearsal.core.processes import ProcessFailedError, run
    from rehearsal.stages import soaking

    # The log itself may lie in the checkout, and what lies beside it.
    own = [log.relative_to(root)] if log.is_relative_to(root) else []
    but = [f":(exclude,literal){path}{end}" for path in own for end in ("", _LOCK, soaking.BEGUN)]
    status = ["git", "-C", str(root), "status", "--porcelain", "--", ".", *but]
    try:
        changed = run(status, timeout_seconds=30).output.strip()
        tree = run(["git", "-C", str(root), "rev-parse", "HEAD^{tree}"], timeout_seconds=30).output.strip()
    except ProcessFailedError as error:
        raise ConfigurationError(
            "SOAK_OUTSIDE_GIT", f"{root} is no git checkout: {error.tail}", hint="Soak a clone."
        ) from error
    if changed:
        raise ConfigurationError(
            "SOAK_CHANGED",
            "the tree has changes that are not committed: the log could not say what was soaked",
            hint="Commit them, or soak a clone.",
        )
    return tree


def _say(event: Event) -> None:
    from rehearsal.core.events import Notice

    if isinstance(event, Notice):
        say(f"{event.message}\n")


def _why(one: SoakRun) -> str:
    return "its message is above" if one.error else f"`rehearsal report {one.run}` says why"


def _run(
    conditions: Mapping[str, str], tree: Callable[[], str], begun: Callable[[SoakRun], None]
) -> tuple[SoakRun, BaseException | None]:
    """Run once; return the line about it, and what ended it without a report.

    `tree` says what the checkout is by now: a run of half of one tree and half of another is none of either.
    `begun` is told of it as soon as it has a folder.
    """
    from rehearsal.cli.e2e_assembly import Options, rehearse
    from rehearsal.core.redaction import redact
    from rehearsal.core.timing import Timing
    from rehearsal.report import writing
    from rehearsal.stages import run_folder
    from rehearsal.stages.planning import Request
    from rehearsal.stages.soaking import SoakRun

    started = monotonic()
    one = SoakRun(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        **conditions,
        machine=run_folder.machine(),
        run="",
        seed=0,
        ending=Ending.INTERRUPTED,
        seconds=0.0,
        findings=(),
        failed=0,
        error="it was killed",
    )

    def began(folder: Path) -> None:
        nonlocal one
        one = replace(one, run=folder.name)
        begun(one)

    options = Options(
        Request((), "", ""), conditions["profile"], Timing(conditions["timing"]), keep=True, seed=None
    )
    try:
        # Its own folder, not the newest: another run may have begun since.
        found = writing.read(rehearse(options, began).folder)
        if tree() != conditions["tree"]:
            raise ConfigurationError(
                "SOAK_MOVED",
                "the checkout is not what it was when the soak began: nobody can say what this run was of",
                hint="Soak a clone that nobody works in.",
            )
    except (Exception, KeyboardInterrupt) as error:
        said = redact(str(error) or type(error).__name__)
        return replace(one, ending=_ending_of(error), seconds=monotonic() - started, error=said), error
    return _of_report(one, found), None


def _as_reported(root: Path, killed: SoakRun) -> SoakRun:
    """Return the line of a run that was killed: what it had found by then is in its events."""
    from rehearsal.report import writing

    try:
        return _of_report(killed, writing.read(root / "runs" / killed.run))
    except (HarnessError, OSError):
        return killed  # before its first event


def _of_report(one: SoakRun, found: Report) -> SoakRun:
    from rehearsal.core.verdicts import Verdict

    return replace(
        one,
        machine=found.run.machine,
        run=found.run.id,
        seed=found.run.seed,
        ending=found.verdict,
        seconds=found.run.seconds,
        findings=tuple(f"{check.id} {check.subject}" for check in found.findings()),
        failed=len(found.of_verdict(Verdict.FAIL)),
        error="" if found.complete else one.error,
    )


def _ending_of(error: BaseException) -> Ending:
    if isinstance(error, KeyboardInterrupt):
        return Ending.INTERRUPTED
    if isinstance(error, ConfigurationError):
        return Ending.USAGE
    return Ending.ENVIRONMENT if isinstance(error, EnvironmentNotReadyError) else Ending.ERROR
