"""The sample service against its own OpenAPI document: all checks, stateful, no exclusions.

Run by `pytest -m contract`. Three seeds together have to use every link that can be inferred; a run that was
green because it reached nothing would fail here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.issuer import AUDIENCE, CLIENT, REALM, Issuer, issuer
from support.processes import EXAMPLES, ServiceProcess, service_process

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
# A run takes 20 to 40 s; this bounds a hang, also on a machine that is busy with other things.
RUN_SECONDS = 900

pytestmark = [pytest.mark.contract, pytest.mark.timeout(3000)]


@pytest.fixture
def tokens() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def environment(tokens: Issuer) -> dict[str, str]:
    return {
        "ISSUER_URL": REALM,
        "JWKS_URL": tokens.jwks_url,
        "AUDIENCE": AUDIENCE,
        "AUTHORIZED_PARTIES": CLIENT,
    }


def fuzz(
    service: ServiceProcess, tokens: Issuer, seed: int, reports: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    token = tokens.token(exp=int(time.time()) + 3600)
    schemathesis = Path(sys.executable).with_name("st")
    return subprocess.run(
        [
            *(str(schemathesis), "--config-file", str(CONFIG), "run", f"{service.url}/openapi.json"),
            *("--seed", str(seed), "--report", "ndjson", "--report-dir", str(reports), *arguments),
        ],
        cwd=reports,
        env={**os.environ, "AUTHORIZATION": f"Bearer {token}"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def used_links(reports: Path) -> set[str]:
    text = "".join(path.read_text() for path in reports.glob("*.ndjson"))
    return {
        json.loads(f'"{name}"') for name in re.findall(r'"transition":\s*\{"id":\s*"((?:[^"\\]|\\.)*)"', text)
    }


def test_the_sample_service_keeps_its_contract_under_three_seeds(tokens: Issuer, tmp_path: Path) -> None:
    inferred = 0
    with service_process(EXAMPLES / "reminders.py", tmp_path / "log", environment(tokens)) as service:
        for seed in SEEDS:
            run = fuzz(service, tokens, seed, tmp_path)
            assert run.returncode == 0, f"seed {seed}:\n{run.stdout[-5000:]}{run.stderr[-2000:]}"
            found = re.search(r"covered / (\d+) selected / (\d+) total", run.stdout)
            assert found is not None, run.stdout
            inferred = int(found[2])
    assert inferred >= 13
    assert len(used_links(tmp_path)) == inferred


@pytest.mark.parametrize(
    ("sound", "planted"),
    [
        ('raise not_found("reminder")', "raise KeyError(reminder_id)"),
        ("errors(404, 412)", "errors(412)"),
        ('response.headers["ETag"] = etags.etag(found.version)', "pass"),
        ("priority: PositiveInt = 1", "priority: int = 1"),
    ],
    ids=["unexpected-500", "undocumented-404", "missing-header", "lax-integer"],
)
def test_a_planted_defect_is_found(tokens: Issuer, tmp_path: Path, sound: str, planted: str) -> None:
    source = (EXAMPLES / "reminders.py").read_text()
    assert sound in source, "the plant no longer applies"
    script = tmp_path / "planted.py"
    script.write_text(source.replace(sound, planted))
    with service_process(script, tmp_path / "log", environment(tokens)) as service:
        run = fuzz(service, tokens, SEEDS[0], tmp_path, "--phases", "coverage,fuzzing")
    assert run.returncode == 1, run.stdout[-3000:]
    assert "FAILURES" in run.stdout
