"""`rehearsal cluster ...`: the cluster alone, without what runs on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rehearsal.cli.composition import Workshop, workshop
from rehearsal.core.timing import Timing
from rehearsal.core.verdicts import ExitCode

if TYPE_CHECKING:
    from rehearsal.supply.images import ImageRef

profile_option = click.option(
    "--profile", metavar="NAME", help="Size of the cluster; see [profiles] in rehearsal.toml."
)
timing_option = click.option(
    "--timing", type=click.Choice([one.value for one in Timing]), help="How fast the HPA's controller runs."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."
)


@click.group()
def cluster() -> None:
    """Make, mend, look at and remove the kind cluster."""


@cluster.command("up")
@profile_option
@timing_option
@click.option("--use-context", is_flag=True, help="Make it the current context of your kubeconfig.")
@json_option
def up(profile: str | None, timing: str | None, use_context: bool, as_json: bool) -> None:
    """Make the cluster, or mend the one that is there."""
    with workshop("cluster-up") as shop:
        bring_up(shop, profile, Timing(timing) if timing else None, use_context=use_context)
        shop.forget_cluster()
        _print_status(shop, as_json=as_json)


@cluster.command("repair")
@json_option
def repair(as_json: bool) -> None:
    """Mend the cluster after a stop, a restart or damage."""
    with workshop("cluster-repair") as shop:
        registry, kind_program = shop.supplies.image("registry"), shop.supplies.tool("kind")
        shop.clusters(registry_image=registry.tag, kind_program=kind_program).repair()
        _print_status(shop, as_json=as_json)


@cluster.command("down")
@click.option("--images", is_flag=True, help="Remove the registry's images, too.")
def down(images: bool) -> None:
    """Remove the cluster, its network and its registry; images stay unless --images is given."""
    with workshop("cluster-down") as shop:
        take_down(shop, images=images)
        shop.forget_cluster()


@cluster.command("status")
@json_option
def status(as_json: bool) -> int:
    """Say what is there and whether it is well."""
    with workshop("cluster-status") as shop:
        return _print_status(shop, as_json=as_json)


@cluster.command("logs")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
def logs(folder: Path | None) -> None:
    """Collect the nodes' logs into FOLDER."""
    with workshop("cluster-logs") as shop:
        target = folder or shop.paths.logs / "cluster"
        spec = shop.cluster_spec(None, None, node_image="")
        shop.clusters(kind_program=shop.supplies.tool("kind")).kind.export_logs(spec, target)
        click.echo(str(target))


def bring_up(
    shop: Workshop,
    profile: str | None,
    timing: Timing | None,
    *,
    use_context: bool = False,
    stack: bool = False,
    maker: str = "",
) -> None:
    """Supplies, then the cluster; with `stack`, a new one's nodes have the stack's images from birth.

    The cluster's record names its `maker`.
    """
    from rehearsal.stages.doctor.requiring import require_machine
    from rehearsal.supply.inotify import ensure_inotify

    if profile:
        shop.catalogue.profile(profile)  # a wrong name is said before anything is built
    ensure_inotify(shop.catalogue.limits, shop.emit)
    require_machine(shop.catalogue, shop.paths, profile or shop.profile)
    kind_program = shop.supplies.tool("kind")
    shop.supplies.tool("kubectl")
    node, registry = node_image(shop, stack=stack), shop.supplies.image("registry")
    spec = shop.cluster_spec(profile, timing, node_image=node.tag)
    clusters = shop.clusters(registry_image=registry.tag, kind_program=kind_program)
    clusters.up(spec, use_context=use_context, maker=maker)


def node_image(shop: Workshop, *, stack: bool) -> ImageRef:
    """Return the image for nodes that will be made; with `stack`, one that has the stack's images is made."""
    from rehearsal.supply.inventory import STACK_NODE

    # Worth its minute for nodes that will be made, and never for those that are there.
    if stack and not shop.cluster_identity():
        return shop.supplies.image_or_instead(STACK_NODE)
    return shop.supplies.image_if_there(STACK_NODE) or shop.supplies.image("node")


def take_down(shop: Workshop, *, images: bool) -> None:
    """Remove the cluster."""
    spec = shop.cluster_spec(None, None, node_image="")
    shop.clusters().down(spec, registry_data=images)


def _print_status(shop: Workshop, *, as_json: bool) -> int:
    from rehearsal.cluster.api import KubernetesApi
    from rehearsal.cluster.engine import DockerNodeEngine
    from rehearsal.cluster.status import look, render

    found = look(shop.paths, DockerNodeEngine(shop.docker), KubernetesApi)
    click.echo(json.dumps(found.as_record(), indent=2) if as_json else render(found))
    return ExitCode.PASS if found.healthy else ExitCode.ENVIRONMENT
