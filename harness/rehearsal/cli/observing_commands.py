"""`rehearsal trace` and `rehearsal logs`: what the shop did for one request, and what its containers say."""

from __future__ import annotations

import json
import re

import click

from rehearsal.cli.cluster_commands import json_option
from rehearsal.cli.composition import workshop

_DURATION = re.compile(r"[1-9][0-9]{0,5}[smhd]")


def _duration(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not _DURATION.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no duration; write 90s, 15m, 2h or 1d")
    return value


@click.command()
@click.argument("wanted", metavar="ID")
@json_option
def trace(wanted: str, as_json: bool) -> None:
    """Show one request's spans and logs, by its trace id, its traceparent or its X-Request-Id.

    Spans arrive up to ten seconds after they have ended. A trace that was not sampled has logs only.
    """
    from rehearsal.observe.asking import store_client
    from rehearsal.observe.following import follow
    from rehearsal.observe.logs import VictoriaLogs
    from rehearsal.observe.phrasing import describe, trail_record
    from rehearsal.observe.spans import Zipkin

    with (
        workshop("trace", announce=False) as shop,
        store_client(shop.catalogue.ports.traces) as spans,
        store_client(shop.catalogue.ports.logs) as logs,
    ):
        trail = follow(wanted, Zipkin(spans), VictoriaLogs(logs))
    click.echo(json.dumps(trail_record(trail), ensure_ascii=False) if as_json else describe(trail))


@click.command()
@click.argument("container", required=False, default="")
@click.option(
    "--since", default="15m", show_default=True, callback=_duration, help="How far back: 90s, 15m, 2h."
)
@click.option("--grep", "text", default="", metavar="TEXT", help="Only messages that contain it.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=500, show_default=True, help="The newest so many."
)
@json_option
def logs(container: str, since: str, text: str, limit: int, as_json: bool) -> None:
    """Print what a CONTAINER of the cluster said, such as order-service; all of them without one.

    Lines of pods that are gone are there as well.
    """
    from rehearsal.observe.asking import store_client
    from rehearsal.observe.logs import VictoriaLogs, of_container
    from rehearsal.observe.phrasing import line_record, line_text

    with workshop("logs", announce=False) as shop, store_client(shop.catalogue.ports.logs) as store:
        lines = VictoriaLogs(store).lines(of_container(container, since=since, text=text), limit)
    if as_json:
        click.echo(json.dumps({"logs": [line_record(line) for line in lines]}, ensure_ascii=False))
    else:
        click.echo("\n".join(line_text(line) for line in lines) or f"nothing in the last {since}")
