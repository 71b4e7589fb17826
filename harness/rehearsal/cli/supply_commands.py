"""`rehearsal supply ...`: tools and images, and where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rehearsal.cli.cluster_commands import json_option
from rehearsal.cli.composition import workshop
from rehearsal.core.verdicts import ExitCode


@click.group()
def supply() -> None:
    """List, build, verify and prune tools and images."""


@supply.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Say of each supply which version it has, where it is or what it would come from."""
    with workshop("supply-list") as shop:
        from rehearsal.supply.supplies import render_statuses

        statuses = shop.supplies.statuses()
        if as_json:
            click.echo(json.dumps([one.as_record() for one in statuses], indent=2))
        else:
            click.echo(render_statuses(statuses))


@supply.command("build")
@click.argument("names", nargs=-1)
@json_option
def build(names: tuple[str, ...], as_json: bool) -> None:
    """Make NAMES (all of them when none is given); a name may be a path such as images/kafka."""
    with workshop("supply-build") as shop:
        built = shop.supplies.build([name.rstrip("/").removeprefix("images/") for name in names])
        if as_json:
            click.echo(json.dumps([one.as_record() for one in built], indent=2))


@supply.command("verify")
@json_option
def verify(as_json: bool) -> int:
    """Check every cached supply against its hashes."""
    with workshop("supply-verify") as shop:
        damaged = shop.supplies.verify()
        if as_json:
            click.echo(json.dumps({"damaged": damaged}))
        else:
            click.echo("\n".join(damaged) if damaged else "all cached supplies are as they were made")
        return ExitCode.FAIL if damaged else ExitCode.PASS


@supply.command("advisories")
@click.option(
    "--sarif", type=click.Path(dir_okay=False, path_type=Path), help="Write them there as SARIF, too."
)
def advisories(sarif: Path | None) -> int:
    """Ask for known vulnerabilities of every locked Python package; 4 when not all are known there."""
    from rehearsal.core.verdicts import exit_code_of
    from rehearsal.supply import advisories as asking

    with workshop("supply-advisories") as shop:
        root = shop.paths.root
        audited = asking.audit(root, sorted((root / "requirements").glob("*.txt")), asking.program())
    if sarif:
        sarif.parent.mkdir(parents=True, exist_ok=True)
        sarif.write_text(asking.render(audited), encoding="utf-8")
    for one in audited.advisories:
        click.echo(f"{one.lock}:{one.line}: {one.text}")
    if audited.unknown:
        click.echo(f"nothing is known of {len(audited.unknown)} packages: {', '.join(audited.unknown)}")
    click.echo(
        f"{len(audited.advisories)} advisories in {audited.packages} locked packages: {audited.verdict}"
    )
    return exit_code_of(audited.verdict)


@supply.command("prune")
@json_option
def prune(as_json: bool) -> None:
    """Remove cached supplies that the present pins do not use."""
    with workshop("supply-prune") as shop:
        removed = shop.supplies.prune()
        click.echo(json.dumps({"removed": removed}) if as_json else "\n".join(removed) or "nothing to remove")
