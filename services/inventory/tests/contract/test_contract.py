"""The service against its own OpenAPI document: all checks, stateful, three seeds, as several users.

Run by `pytest -m contract`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.issuing import issuer

from support.data import audit
from support.running import Running, running, settings_for

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
# This bounds a hang, also on a machine that is busy with other things.
RUN_SECONDS = 900

pytestmark = [pytest.mark.contract, pytest.mark.timeout(3000)]


def fuzz(service: Running, seed: int, reports: Path) -> subprocess.CompletedProcess[str]:
    user = service.bearer(f"admin-{seed}", "inventory:read", "inventory:write", roles=("shop-admin",))
    return subprocess.run(
        [
            *(str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIG), "run"),
            *(f"{service.client.base_url}/openapi.json", "--seed", str(seed)),
        ],
        cwd=reports,
        env={**os.environ, "AUTHORIZATION": user["Authorization"]},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


async def test_the_service_keeps_its_contract(
    postgres_database: FreshDatabase, database: Database, tmp_path: Path
) -> None:
    with issuer() as tokens:
        async with running(settings_for(tokens, postgres_database), tokens) as service:
            for seed in SEEDS:
                run = await asyncio.to_thread(fuzz, service, seed, tmp_path)
                assert run.returncode == 0, f"seed {seed}:\n{run.stdout[-6000:]}{run.stderr[-2000:]}"
    await audit(database)
