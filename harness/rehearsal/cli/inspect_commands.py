"""`rehearsal inspect`: what the checkout alone shows."""

from __future__ import annotations

import click

from rehearsal.cli.cluster_commands import json_option, profile_option
from rehearsal.cli.composition import workshop
from rehearsal.cli.console import show


@click.command()
@profile_option
@json_option
def inspect(profile: str | None, as_json: bool) -> int:
    """Judge the committed contracts and the manifests, without a cluster: seconds before `e2e`."""
    click.echo("Inspecting ...", err=True)
    import json
    from dataclasses import asdict
    from datetime import UTC, datetime

    from rehearsal.core.verdicts import Verdict, combine, exit_code_of
    from rehearsal.stages.inspecting import inspect as inspect_all

    with workshop("inspect", announce=False) as shop:
        renderer = shop.renderer()
        wanted = profile or shop.profile
        checks = list(
            inspect_all(
                shop.paths.root,
                datetime.now(UTC).date(),
                lambda: (renderer.production(), renderer.render(wanted)),
                shop.catalogue.working_set_mib,
            )
        )
    verdict = combine(one.verdict for one in checks)
    if as_json:
        click.echo(json.dumps({"verdict": verdict, "checks": [asdict(one) for one in checks]}, indent=2))
        return exit_code_of(verdict)
    for one in checks:
        if one.verdict is not Verdict.PASS:
            show(f"{one.verdict} {one.id} {one.subject}: {one.sentence}")
    click.echo(
        f"{verdict}: {sum(one.verdict is Verdict.PASS for one in checks)} of {len(checks)} checks hold"
    )
    return exit_code_of(verdict)
