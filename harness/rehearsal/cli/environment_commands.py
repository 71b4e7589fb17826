"""`rehearsal doctor`, `up`, `down` and `env`: the whole environment on this machine."""

from __future__ import annotations

import json

import click

from rehearsal.cli.cluster_commands import bring_up, json_option, profile_option, take_down, timing_option
from rehearsal.cli.composition import Workshop, workshop
from rehearsal.cli.console import show
from rehearsal.core.timing import Timing


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Look at the machine: what is well, what will be mended, what cannot be tested here, what blocks."""
    # Said before the imports, which take longer than the look at the machine.
    if not as_json:
        click.echo("Looking at this machine ...")
    from rehearsal.cli.doctor_view import render_doctor
    from rehearsal.stages.doctor import examine, exit_code_of_rows, report_record

    with workshop("doctor", announce=False) as shop:
        rows = examine(shop.paths, shop.catalogue, supplies=lambda: shop.passive_supplies)
        if not as_json:
            return exit_code_of_rows(render_doctor(rows))
        looked = list(rows)
        click.echo(json.dumps(report_record(looked), indent=2))
        return exit_code_of_rows(looked)


@click.command()
@profile_option
@timing_option
@click.option("--ci", is_flag=True, help="Stop when everything is well, or say what is not.")
@click.argument("resources", metavar="[PART]...", nargs=-1)
def up(profile: str | None, timing: str | None, ci: bool, resources: tuple[str, ...]) -> int:
    """Bring supplies, cluster and everything on it up; without --ci stay in Tilt until Ctrl-C.

    Each PART is a resource, with all that it needs to work: `order gateway`, `edge`, `prometheus`.
    """
    with workshop("up") as shop:
        bring_up(shop, profile, Timing(timing) if timing else None, stack=True)
        shop.forget_cluster()
        _undo_faults(shop)
        return _tilt(shop, resources, ci=ci)


@click.command()
@click.option("--images", is_flag=True, help="Remove the registry's images, too.")
def down(images: bool) -> None:
    """Remove the cluster and everything on it."""
    with workshop("down") as shop:
        take_down(shop, images=images)
        shop.forget_cluster()


@click.command()
def env() -> None:
    """Print shell commands that make the project's tilt, kubectl and kind yours: eval "$(rehearsal env)"."""
    from rehearsal.deploy.environment import env_script

    with workshop("env", announce=False) as shop:
        click.echo(env_script(shop.paths, shop.catalogue, tools=shop.tool_folders()))


def _undo_faults(shop: Workshop) -> None:
    """Undo what a killed run has broken on the cluster that goes on: Tilt would not mend all of it."""
    # Nearly always nothing; then what undoes need not be imported.
    if shop.ledger.entries():
        from rehearsal.cli.e2e_assembly import undo

        # Tilt and what judges its work wait for whatever is to be whole; it may need what is deployed now.
        undo(shop, awaits=False)


def _tilt(shop: Workshop, resources: tuple[str, ...], *, ci: bool) -> int:
    from rehearsal.core.verdicts import exit_code_of
    from rehearsal.deploy.deploying import describe

    if not ci:
        program = shop.tilt()
        shop.close_console()  # the terminal is Tilt's from here on
        return program.up(resources)
    deployment = shop.deployment(shop.paths.logs / "up")
    result = deployment.run(resources)
    show(describe(result, deployment.log))
    return exit_code_of(result.verdict)
