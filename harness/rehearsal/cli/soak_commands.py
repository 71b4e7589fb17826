"""`rehearsal soak`: clean runs until there are enough of them, and how sure that makes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rehearsal.cli.cluster_commands import json_option, profile_option, timing_option
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.core.verdicts import Ending, ExitCode

if TYPE_CHECKING:
    from rehearsal.stages.soaking import SoakRun

_MOST_BROKEN = 3  # runs in a row without a verdict: the machine, or the harness, needs somebody


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
    import json
    from dataclasses import asdict

    from rehearsal.core import catalogue
    from rehearsal.core.paths import find_root
    from rehearsal.stages import soaking

    root = find_root(Path.cwd())
    file = log or root / soaking.LOG
    known = catalogue.load(root)
    wanted = profile or known.cluster.default_profile
    conditions = {
        "tree": _tree(root),
        "profile": wanted,
        "timing": timing or known.profile(wanted).timing.value,
    }
    broken = 0
    while (found := soaking.soaked(soaking.of_kind(soaking.read(file), **conditions))).tries < runs:
        one = _run(root, conditions)
        soaking.append(file, one)
        click.echo(f"{one.at} {one.ending} {one.seconds:.0f} s {' '.join(one.findings)}", err=True)
        broken = 0 if one.is_try else broken + 1
        if one.ending is Ending.INTERRUPTED:
            return ExitCode.INTERRUPTED
        if broken == _MOST_BROKEN:
            raise EnvironmentNotReadyError(
                "SOAK_BROKEN",
                f"{broken} runs in a row ended without a verdict, the last as {one.ending}",
                hint=f"`rehearsal report {one.run}` says why; then run the same command again.",
            )
    click.echo(json.dumps({**asdict(found), "bound": found.bound}) if as_json else str(found))
    return ExitCode.FAIL if found.false else ExitCode.PASS


def _tree(root: Path) -> str:
    from rehearsal.core.processes import ProcessFailedError, run

    try:
        changed = run(["git", "-C", str(root), "status", "--porcelain"], timeout_seconds=30).output.strip()
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


def _run(root: Path, conditions: Mapping[str, str]) -> SoakRun:
    from rehearsal.cli.e2e_assembly import Options, rehearse
    from rehearsal.core.timing import Timing
    from rehearsal.report import writing
    from rehearsal.stages.planning import Request
    from rehearsal.stages.run_folder import find
    from rehearsal.stages.soaking import SoakRun

    began = datetime.now(UTC).isoformat(timespec="seconds")
    rehearse(
        Options(
            Request((), "", ""), conditions["profile"], Timing(conditions["timing"]), keep=True, seed=None
        )
    )
    found = writing.read(find(root))
    return SoakRun(
        at=began,
        **conditions,
        machine=found.run.machine,
        run=found.run.id,
        seed=found.run.seed,
        ending=found.verdict,
        seconds=found.run.seconds,
        findings=tuple(f"{one.id} {one.subject}" for one in found.findings()),
    )
