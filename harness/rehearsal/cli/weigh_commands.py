"""`rehearsal weigh`: what operations cost in CPU time, beside what is committed; and committing it anew."""

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
@click.option("--write", is_flag=True, help="Commit what is measured: weights.toml is written anew.")
@click.option(
    "--weights",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compare with this file, or write it, instead of weights.toml: before and after a change.",
)
@json_option
def weigh(write: bool, file: Path | None, as_json: bool) -> int:
    """Measure the CPU time of operations of the deployed shop, which nobody else may use meanwhile.

    1 when one costs more than is committed, 4 when it could not be told.
    """
    if file is not None and not write and not file.exists():
        raise click.BadParameter(f"{file} is not there; --write makes it", param_hint="--weights")
    with workshop("weigh") as shop:
        from rehearsal.cli.judging_assembly import weighing_of
        from rehearsal.core.locking import exclusive
        from rehearsal.load.weighing import weights
        from rehearsal.load.weighing.judging import judge, to_commit, until_clear
        from rehearsal.stages.run_folder import machine

        shop.require_deployed()
        path = file or shop.paths.root / weights.FILE_NAME
        committed = weights.load(path)
        folder = shop.paths.logs / "weighing"
        folder.mkdir(parents=True, exist_ok=True)
        enough = (lambda operation, ratios: False) if write else until_clear(committed)
        with exclusive(shop.paths.locks / "e2e.lock", purpose="weigh", emit=shop.emit):
            measured = weighing_of(shop)(folder, enough, lambda text: click.echo(text, err=True))
        checks = [judge(one, committed, ()) for one in measured]
        verdict = combine(one.verdict for one in checks)
        if as_json:
            click.echo(json.dumps({"verdict": verdict, "checks": [asdict(one) for one in checks]}, indent=2))
        else:
            _print(measured, checks)
        if not write:
            return exit_code_of(verdict)
        path.write_text(weights.dumps(to_commit(measured), machine()), encoding="utf-8")
        return ExitCode.PASS


def _print(measured: Sequence[Measured], checks: Sequence[Check]) -> None:
    for one, check in zip(measured, checks, strict=True):
        said = f"{check.verdict:8} {one.operation.name}: {one.milliseconds:.2f} ms; {check.sentence}"
        show(f"{said} ({check.observed})" if check.observed else said)
