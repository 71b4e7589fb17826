"""`rehearsal render` and `prepare`: the manifests, and what Tilt needs besides them."""

from __future__ import annotations

import click

from rehearsal.cli.cluster_commands import profile_option
from rehearsal.cli.composition import workshop


@click.command()
@profile_option
def render(profile: str | None) -> None:
    """Print the manifests of a profile as Tilt applies them; Secrets are not among them."""
    from rehearsal.deploy.manifests import dump

    with workshop("render", announce=False) as shop:
        click.echo(dump(shop.renderer().render(profile or shop.profile)), nl=False)


@click.command()
def prepare() -> None:
    """Put images, namespaces and Secrets into the cluster: `up` does it, plain `tilt up` does not."""
    with workshop("prepare") as shop:
        shop.prepare()
