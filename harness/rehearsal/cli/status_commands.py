"""`rehearsal status`: how everything is, for people and for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from rehearsal.cli.cluster_commands import json_option
from rehearsal.cli.composition import Workshop, workshop
from rehearsal.cli.console import show
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError
from rehearsal.core.verdicts import ExitCode

if TYPE_CHECKING:
    from rehearsal.stages.overview import LastRun, Overview


@click.command()
@json_option
def status(as_json: bool) -> int:
    """Say how the cluster, what is deployed on it, and the newest run are; 3 when a run could not go on."""
    from rehearsal.stages.overview import render

    with workshop("status", announce=False) as shop:
        found = _look(shop)
        if as_json:
            click.echo(json.dumps(found.as_record(), indent=2, ensure_ascii=False))
        else:
            show(render(found))
    return ExitCode.PASS if found.well else ExitCode.ENVIRONMENT


def _look(shop: Workshop) -> Overview:
    from rehearsal.cluster.api import KubernetesApi
    from rehearsal.cluster.engine import DockerNodeEngine
    from rehearsal.cluster.status import look
    from rehearsal.deploy import provenance
    from rehearsal.deploy.rollouts import read_all, read_templates
    from rehearsal.stages.overview import Overview

    cluster = look(shop.paths, DockerNodeEngine(shop.docker), KubernetesApi)
    left = [entry.what for entry in shop.ledger.entries()]
    run, left_on = _last_run(shop), shop.left_elsewhere()
    if not cluster.made or not cluster.nodes:
        return Overview(cluster, (), "nothing", left, run, left_on)
    try:
        workloads, templates = read_all(shop.api()), read_templates(shop.api())
    except EnvironmentNotReadyError:
        return Overview(cluster, (), "nobody knows: the API server does not answer", left, run, left_on)
    tree = provenance.tree_hash(shop.paths.root)
    other = provenance.difference(
        shop.paths.state, tree=tree, cluster=shop.cluster_identity(), templates=templates
    )
    return Overview(cluster, workloads, other, left, run, left_on)


def _last_run(shop: Workshop) -> LastRun | None:
    from rehearsal.report import writing
    from rehearsal.report.phrasing import RUNNING, headline
    from rehearsal.stages import run_folder
    from rehearsal.stages.overview import LastRun

    try:
        folder = run_folder.find(shop.paths.root)
    except ConfigurationError:
        return None
    try:
        report = writing.read(folder)
    except HarnessError as error:
        # Of another version, or cut off before its first word: how everything else is can be said.
        return LastRun(folder.name, "unreadable", error.message, str(folder))
    going_on = writing.is_going_on(folder, report)
    verdict = RUNNING if going_on else report.verdict.value
    says = headline(report, going_on=going_on)
    return LastRun(report.run.id, verdict, says, str(folder / writing.PAGE))
