"""`rehearsal e2e`: all stages, one verdict, one report."""

from __future__ import annotations

import click

from rehearsal.cli.cluster_commands import profile_option, timing_option
from rehearsal.core.errors import ConfigurationError
from rehearsal.stages.registry import NAMES


@click.command()
@profile_option
@timing_option
@click.option("--stages", metavar="A,B", help=f"Only these of: {', '.join(NAMES)}.")
@click.option("--from", "start", metavar="STAGE", help="Go on from here with what is there.")
@click.option("--keep", is_flag=True, help="Leave a cluster that the run makes.")
@click.option("--context", metavar="NAME", help="Use this cluster, described in rehearsal.toml.")
@click.option("--seed", type=int, metavar="N", help="Draw everything random from N; the report says which.")
@click.option("--thorough", is_flag=True, help="Break every part, each under hundreds of orders: 34 minutes.")
@click.option(
    "--experiment",
    "experiments",
    metavar="ID",
    multiple=True,
    help="Of chaos only this experiment (docs/reference/experiments.md); may be repeated.",
)
def e2e(
    profile: str | None,
    timing: str | None,
    stages: str | None,
    start: str | None,
    keep: bool,
    context: str | None,
    seed: int | None,
    thorough: bool,
    experiments: tuple[str, ...],
) -> int:
    """Bring everything up, check contracts, load and chaos, and write one report with one verdict."""
    # Said before the imports, which take longer.
    click.echo("Rehearsing ...", err=True)
    from rehearsal.cli.e2e_assembly import Options, rehearse
    from rehearsal.core.timing import Timing
    from rehearsal.stages.planning import Request

    request = Request(
        tuple(filter(None, _given("--stages", stages).split(","))),
        _given("--from", start),
        _given("--context", context),
    )
    pace = Timing(timing) if timing else None
    options = Options(request, profile, pace, keep, seed, thorough, experiments)
    return rehearse(options).exit_code


def _given(option: str, value: str | None) -> str:
    """Return what an option names, nothing when it was left out.

    Raises ConfigurationError when it names nothing: an empty variable of a shell must not choose everything.
    """
    if value is not None and not value.strip(", "):
        raise ConfigurationError(
            "OPTION_EMPTY",
            f"{option} names nothing: {value!r}",
            hint=f"Name something, or leave {option} out; an empty variable of a shell is the usual reason.",
        )
    return value or ""


@click.command()
def undo() -> None:
    """Undo what a killed run has left, without starting another one."""
    click.echo("Looking into the ledger ...", err=True)
    from rehearsal.cli.composition import workshop
    from rehearsal.cli.e2e_assembly import undo_everywhere

    undone: list[str] = []

    def say(what: str) -> None:
        undone.append(what)
        click.echo(f"undone: {what}")

    with workshop("undo", announce=False) as shop:
        undo_everywhere(shop, say)
    if not undone:
        click.echo("nothing to undo")
