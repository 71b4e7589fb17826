"""product-service on real parts against its own OpenAPI document: all checks, stateful, no exclusions.

Run by `pytest -m contract`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from mambogo_testkit.dependencies.kafka import TopicSpace
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.dependencies.redis import RedisSpace
from support.issuer import AUDIENCE, CLIENT, REALM, Issuer
from support.processes import ServiceProcess, service_process

import mambogo_product
from catalogue_support import ADMINISTRATOR, redis_settings

SERVICE = Path(mambogo_product.__file__).with_name("__main__.py")
CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
# A run takes 1 to 2 min; this bounds a hang, also on a machine that is busy with other things.
RUN_SECONDS = 1200

pytestmark = [pytest.mark.contract, pytest.mark.timeout(4000)]


@pytest.fixture
def environment(
    tokens: Issuer, postgres_database: FreshDatabase, redis_space: RedisSpace, kafka_topics: TopicSpace
) -> dict[str, str]:
    kafka_topics.create("products", partitions=3)
    database = postgres_database
    redis = redis_settings(redis_space)
    return {
        "ISSUER_URL": REALM,
        "JWKS_URL": tokens.jwks_url,
        "AUDIENCE": AUDIENCE,
        "AUTHORIZED_PARTIES": CLIENT,
        "DB_HOST": database.host,
        "DB_PORT": str(database.port),
        "DB_NAME": database.name,
        "DB_USER": database.user,
        "DB_PASSWORD": database.password,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_topics.bootstrap_servers,
        "KAFKA_PREFIX": kafka_topics.prefix,
        **{name.upper(): str(value) for name, value in redis.items()},
    }


def fuzz(service: ServiceProcess, tokens: Issuer, seed: int, reports: Path) -> None:
    token = tokens.token(exp=int(time.time()) + 7200, **ADMINISTRATOR)
    schemathesis = Path(sys.executable).with_name("st")
    run = subprocess.run(
        [
            *(str(schemathesis), "--config-file", str(CONFIG), "run", f"{service.url}/openapi.json"),
            *("--seed", str(seed), "--report", "ndjson", "--report-dir", str(reports)),
        ],
        cwd=reports,
        env={**os.environ, "AUTHORIZATION": f"Bearer {token}"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert run.returncode == 0, f"seed {seed}:\n{run.stdout[-6000:]}{run.stderr[-2000:]}{service.log[-2000:]}"


def used_links(reports: Path) -> set[str]:
    text = "".join(path.read_text() for path in reports.glob("*.ndjson"))
    return {
        json.loads(f'"{name}"') for name in re.findall(r'"transition":\s*\{"id":\s*"((?:[^"\\]|\\.)*)"', text)
    }


def test_the_service_keeps_its_contract_under_three_seeds(
    tokens: Issuer, environment: dict[str, str], postgres_database: FreshDatabase, tmp_path: Path
) -> None:
    with service_process(SERVICE, tmp_path / "log", environment) as service:
        for seed in SEEDS:
            fuzz(service, tokens, seed, tmp_path)
    assert len(used_links(tmp_path)) >= 5
    with psycopg.connect(postgres_database.dsn) as connection:
        row = connection.execute("SELECT count(*), max(version) FROM product").fetchone()
    # A run that was green because it never got anything created would say nothing.
    assert row is not None
    assert row[0] > 10
    assert row[1] > 1
