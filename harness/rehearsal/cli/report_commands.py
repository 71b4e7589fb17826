"""`rehearsal report` and `explain`: what a run found, and what its checks mean."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rehearsal.cli.cluster_commands import json_option
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.paths import find_root


@click.command()
@click.argument("run", required=False, default="")
@json_option
def report(run: str, as_json: bool) -> None:
    """Render the report of RUN again, a folder or its name; of the newest run without one.

    The exit code says whether it could be rendered, not what the run found.
    """
    from rehearsal.report import writing
    from rehearsal.report.console import render_console
    from rehearsal.stages.run_folder import find

    folder = find(find_root(Path.cwd()), run)
    found = writing.read(folder)
    writing.render(folder, found)
    if as_json:
        click.echo(writing.source_text(found), nl=False)
    else:
        going_on = writing.is_going_on(folder, found)
        click.echo(render_console(found, str(folder / writing.PAGE), going_on=going_on))


@click.command()
@click.argument("check", required=False)
@json_option
def explain(check: str | None, as_json: bool) -> None:
    """Explain a CHECK: what it looks at, why it matters, what to do; list all of them without one."""
    pages = find_root(Path.cwd()) / "docs" / "checks"
    known = sorted(page.stem for page in pages.glob("*.md") if page.stem != "README")
    if check is None:
        click.echo(json.dumps({"checks": known}) if as_json else "\n".join(known))
        return
    if check not in known:
        raise ConfigurationError(
            "CHECK_UNKNOWN", f"there is no check {check!r}", hint="`rehearsal explain` lists all of them."
        )
    page = (pages / f"{check}.md").read_text(encoding="utf-8")
    click.echo(json.dumps({"check": check, "page": page}, ensure_ascii=False) if as_json else page.rstrip())
