"""`rehearsal render`, `diff` and `prepare`: the manifests, and what Tilt needs besides them."""

from __future__ import annotations

import click

from rehearsal.cli.cluster_commands import profile_option
from rehearsal.cli.composition import workshop
from rehearsal.core.verdicts import ExitCode


@click.command()
@profile_option
@click.option("--context", metavar="NAME", default="", help="For this cluster, described in rehearsal.toml.")
def render(profile: str | None, context: str) -> None:
    """Print the manifests of a profile as Tilt applies them; Secrets are not among them."""
    from rehearsal.deploy.manifests import dump

    with workshop("render", announce=False) as own:
        shop = own.at(context)
        click.echo(dump(shop.renderer().render(profile or shop.profile)), nl=False)


@click.command()
@click.argument("target", type=click.Choice(["production"]))
@profile_option
def diff(target: str, profile: str | None) -> int:
    """Print every difference from production, with its reason; 1 when one has none."""
    from rehearsal.deploy.differences import compare, describe

    with workshop("diff", announce=False) as shop:
        renderer = shop.renderer()
        comparison = compare(renderer.production(), renderer.render(profile or shop.profile))
        click.echo(describe(comparison))
        return ExitCode.FAIL if comparison.unexplained else ExitCode.PASS


@click.command()
def prepare() -> None:
    """Put images, namespaces and Secrets into the cluster: `up` does it, plain `tilt up` does not."""
    with workshop("prepare") as shop:
        shop.prepare()
