"""The pipeline is the guide's: its jobs, their order, everything that exists in them, and its findings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from rehearsal.core import catalogue
from rehearsal.deploy.publishing import RELEASED

from tests.workflows.steps import ROOT, flows

JOBS = flows()["pipeline"]["jobs"]
SIX = {"gateway", "product", "cart", "order", "payment", "inventory"}
REPORTED = {"Generate test report", "Keep test report", "Upload scan results to GitHub Security tab"}


def _step(job: Any, name: str) -> Any:
    return next(one for one in job["steps"] if one["name"] == name)


def _needed(job: str) -> set[str]:
    """Return the jobs that must have passed before a job, at any distance."""
    direct = JOBS[job].get("needs", [])
    names = {direct} if isinstance(direct, str) else set(direct)
    return names | {far for name in names for far in _needed(name)}


def _suites() -> set[str]:
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    found = re.search(r"^SERVICE_PACKAGES = \((.*?)\)$", text, re.M | re.S)
    assert found is not None
    return {"harness", *re.findall(r'"([^"]+)"', found[1])}


def test_every_suite_is_tested_the_six_services_among_them() -> None:
    assert set(JOBS["test"]["strategy"]["matrix"]["suite"]) == _suites() > SIX


def test_every_image_of_a_release_is_built() -> None:
    assert JOBS["build"]["strategy"]["matrix"]["image"] == [one.name for one in RELEASED]


def test_nothing_is_deployed_that_was_not_tested_scanned_built_and_rehearsed() -> None:
    assert _needed("deploy") == {"checks", "test", "security-scan", "build", "rehearsal"}


@pytest.mark.parametrize("job", ["build", "deploy"])
def test_only_main_is_published_and_deployed(job: str) -> None:
    assert JOBS[job]["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"


def test_the_cluster_is_touched_in_the_guide_s_order() -> None:
    names = [one["name"] for one in JOBS["deploy"]["steps"]]
    ordered = ["Configure kubectl", "Deploy to Kubernetes", "Wait for every rollout", "Run smoke tests"]
    assert [one for one in names if one in ordered] == ordered


def test_kubectl_is_the_cluster_s_version() -> None:
    version = _step(JOBS["deploy"], "Set up kubectl")["with"]["version"]
    assert version == f"v{catalogue.load(ROOT).versions.kubernetes}"


def test_what_failed_is_reported_too() -> None:
    reporting = [
        one for job in ("test", "security-scan") for one in JOBS[job]["steps"] if one["name"] in REPORTED
    ]
    assert len(reporting) == len(REPORTED)
    assert [
        one["name"] for one in reporting if not one["if"].lstrip("(").startswith("success() || failure()")
    ] == []


def test_the_report_of_a_rehearsal_is_kept_whatever_its_verdict() -> None:
    steps = flows()["e2e"]["jobs"]["e2e"]["steps"]
    last = [(one["name"], one["if"]) for one in steps[-3:]]
    names = ("Take the secrets out of what a killed run left", "Show the summary", "Keep the report")
    assert last == [(name, "always()") for name in names]


def _uses() -> Iterable[str]:
    for flow in flows().values():
        for job in flow["jobs"].values():
            yield from (one["uses"] for one in job.get("steps", ()) if "uses" in one)


def test_every_action_is_pinned_to_a_version_or_commit() -> None:
    # The guide's aquasecurity/trivy-action@master is whatever somebody pushed last.
    assert [one for one in _uses() if not re.search(r"@(v\d+(\.\d+)*|[0-9a-f]{40})$", one)] == []


def test_every_job_has_a_time_limit() -> None:
    jobs = {
        f"{name}/{job}": content for name, flow in flows().items() for job, content in flow["jobs"].items()
    }
    assert [name for name, one in jobs.items() if "uses" not in one and "timeout-minutes" not in one] == []
