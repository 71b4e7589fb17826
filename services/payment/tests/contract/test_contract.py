"""The service against its own OpenAPI document: all checks, stateful, three seeds, as several users.

Run by `pytest -m contract`. Each user has a captured payment, which a refund may find.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.fuzzing import Fuzzer
from mambogo_testkit.issuing import issuer

from support.data import payment_id, reserved, until
from support.pod import Pod
from support.running import running, settings_for
from support.sandbox import Sandbox

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
TESTS = Path(__file__).parents[1]
SEEDS = (1, 2, 3)

pytestmark = [pytest.mark.contract, pytest.mark.timeout(3000)]


async def test_the_service_keeps_its_contract(
    postgres_database: FreshDatabase, database: Database, sandbox: Sandbox, pod: Pod, tmp_path: Path
) -> None:
    with issuer() as tokens:
        async with running(settings_for(tokens, postgres_database, sandbox.url), tokens) as service:
            for seed in SEEDS:
                order, user = uuid4(), f"user-{seed}"
                await pod.take(reserved(order, user=user))
                await until(database, order, "captured")
                token = tokens.token(user, "payments:read", "payments:write", roles=("shop-admin",))
                payment = await payment_id(database, order)
                config = tmp_path / f"{seed}.toml"
                # A dictionary takes nothing from the environment.
                config.write_text(CONFIG.read_text().replace('"PAYMENT"', f'"{payment}"'))
                environment = {"AUTHORIZATION": f"Bearer {token}", "PYTHONPATH": str(TESTS)}
                fuzzer = Fuzzer(config, tmp_path, environment)
                run = await asyncio.to_thread(fuzzer.run, str(service.client.base_url).rstrip("/"), seed)
                assert not run.failed, run.summary
