"""`rehearsal pipeline ...`: what production's pipeline does with a commit, step by step, by anyone's hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rehearsal.cli.composition import Workshop, workshop
from rehearsal.cli.console import show
from rehearsal.core.verdicts import ExitCode

if TYPE_CHECKING:
    from rehearsal.deploy.releasing import Step
    from rehearsal.deploy.rolling_out import Kubectl

registry_option = click.option("--registry", metavar="HOST/PATH", required=True, help="Where the images are.")
tag_option = click.option("--tag", required=True, help="The commit; never `latest`.")
context_option = click.option(
    "--context", "context", required=True, help="Context of your kubeconfig; there is no default."
)
profile_option = click.option(
    "--profile",
    metavar="NAME",
    # Not the variable of `rehearsal env`: that must not reach production by accident.
    envvar="REHEARSAL_PIPELINE_PROFILE",
    help="The manifests as on a machine of one's own; else production's. Or REHEARSAL_PIPELINE_PROFILE.",
)


@click.group()
def pipeline() -> None:
    """Publish a release, deploy it on a cluster, and look whether it works there."""


@pipeline.command("publish")
@registry_option
@tag_option
@click.argument("images", nargs=-1)
def publish(registry: str, tag: str, images: tuple[str, ...]) -> None:
    """Build IMAGES (all without any) and push them; `docker login` comes before."""
    from rehearsal.deploy.publishing import chosen
    from rehearsal.deploy.releasing import Version

    version, wanted = Version(registry, tag), chosen(images)
    with workshop("pipeline-publish") as shop:
        publisher = shop.publisher()
        for one in wanted:
            for reference in publisher.publish(one, version):
                click.echo(reference)


@pipeline.command("deploy")
@registry_option
@tag_option
@context_option
@profile_option
def deploy(registry: str, tag: str, context: str, profile: str | None) -> None:
    """Apply the manifests in the pipeline's order, with the images of a release."""
    from rehearsal.deploy.releasing import Version, at_version
    from rehearsal.deploy.rolling_out import roll_out

    version = Version(registry, tag)
    with workshop("pipeline-deploy") as shop:
        roll_out(_kubectl(shop, context), at_version(_steps(shop, profile), version), shop.emit)


@pipeline.command("status")
@context_option
@profile_option
@click.option("--timeout-seconds", type=click.FloatRange(min=1), default=300, show_default=True)
def status(context: str, profile: str | None, timeout_seconds: float) -> None:
    """Wait for the rollout of every workload; 1 names those that did not come to an end."""
    from rehearsal.deploy.rolling_out import await_rollouts

    with workshop("pipeline-status") as shop:
        cluster, steps = _kubectl(shop, context), _steps(shop, profile)
        for one in await_rollouts(cluster, steps, shop.emit, timeout_seconds=timeout_seconds):
            click.echo(str(one))


@pipeline.command("smoke")
@context_option
def smoke(context: str) -> int:
    """Ask the gateway, at the address of its load balancer, for its health and for products."""
    import httpx

    from rehearsal.deploy import smoking
    from rehearsal.deploy.rolling_out import gateway_address

    with workshop("pipeline-smoke") as shop, httpx.Client(trust_env=False) as client:
        answers = smoking.smoke(gateway_address(_kubectl(shop, context)), client)
    for one in answers:
        show(f"{'ok    ' if one.good else 'FAILED'}  {one.url}: {one.said}")
    return ExitCode.PASS if all(one.good for one in answers) else ExitCode.FAIL


def _kubectl(shop: Workshop, context: str) -> Kubectl:
    from rehearsal.deploy.rolling_out import Kubectl

    return Kubectl(shop.supplies.tool("kubectl"), context)


def _steps(shop: Workshop, profile: str | None) -> tuple[Step, ...]:
    from rehearsal.deploy.releasing import as_rendered, read_steps

    steps = read_steps(shop.paths.root)
    return as_rendered(steps, shop.renderer().render(profile)) if profile else steps
