"""`rehearsal weigh`: what operations cost in CPU time now, beside what they did before a change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rehearsal.cli.cluster_commands import json_option
from rehearsal.cli.composition import workshop
from rehearsal.cli.console import show
from rehearsal.core.verdicts import ExitCode, combine, exit_code_of

if TYPE_CHECKING:
    from rehearsal.core.checks import Check
    from rehearsal.load.weighing.judging import Measured


@click.command()
@click.option(
    "--write", is_flag=True, help="Remember what is deployed now: what comes after it is compared with it."
)
@click.option(
    "--before",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file in which it is remembered; without it one of this machine.",
)
@json_option
def weigh(write: bool, file: Path | None, as_json: bool) -> int:
    """Measure the CPU time of operations of the deployed shop, beside pods of what was deployed before.

    Nobody else may use the shop meanwhile. 1 when one costs more, 4 when it could not be told.
    """
    with workshop("weigh") as shop:
        from rehearsal.cli.e2e_assembly import undo_what_was_left
        from rehearsal.cli.judging_assembly import NAMESPACE, weighing_of
        from rehearsal.core.locking import exclusive
        from rehearsal.load.weighing import baseline
        from rehearsal.load.weighing.judging import enough, judge

        shop.require_deployed()
        path = file or shop.paths.state / baseline.FILE_NAME
        if write:
            path.write_text(baseline.dumps(baseline.deployed(shop.api(), NAMESPACE)), encoding="utf-8")
            click.echo(f"remembered in {path}; deploy the change, then weigh", err=True)
            return ExitCode.PASS
        before = baseline.load(path)
        folder = shop.paths.logs / "weighing"
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(shop.paths.locks / "e2e.lock", purpose="weigh", emit=shop.emit):
            undo_what_was_left(shop)
            measured = weighing_of(shop)(before, folder, enough, lambda text: click.echo(text, err=True))
        checks = [judge(one, ()) for one in measured]
        verdict = combine(one.verdict for one in checks)
        if as_json:
            click.echo(json.dumps({"verdict": verdict, "checks": [asdict(one) for one in checks]}, indent=2))
        else:
            _print(measured, checks)
        return exit_code_of(verdict)


def _print(measured: Sequence[Measured], checks: Sequence[Check]) -> None:
    for one, check in zip(measured, checks, strict=True):
        said = f"{check.verdict:8} {one.operation.name}: {one.milliseconds:.2f} ms; {check.sentence}"
        show(f"{said} ({check.observed})" if check.observed else said)
