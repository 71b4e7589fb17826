"""The service against its own OpenAPI document: all checks, stateful, three seeds, as several users.

Run by `pytest -m contract`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.fuzzing import Fuzzer, User
from mambogo_testkit.issuing import Issuer, issuer

from support.data import audit
from support.running import running, settings_for

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
STOCK = "/api/inventory/{product_id}"
WRITING = (f"PUT {STOCK}", f"POST {STOCK}/adjustments")

pytestmark = [pytest.mark.contract, pytest.mark.timeout(3000)]


def users_of(tokens: Issuer) -> tuple[User, ...]:
    everything = ("inventory:read", "inventory:write")

    def token(name: str, *scopes: str, roles: tuple[str, ...] = ()) -> str:
        return tokens.token(name, *scopes, roles=roles, seconds=86_400)

    return (
        User("administrator", token("administrator", *everything, roles=("shop-admin",))),
        User("shopper", token("shopper", "inventory:read"), forbidden=WRITING),
        # The scopes without the role.
        User("pretender", token("pretender", *everything), forbidden=WRITING),
    )


async def test_the_service_keeps_its_contract(
    postgres_database: FreshDatabase, database: Database, tmp_path: Path
) -> None:
    with issuer() as tokens:
        async with running(settings_for(tokens, postgres_database), tokens) as service:
            fuzzer = Fuzzer(CONFIG, tmp_path, users_of(tokens))
            url = str(service.client.base_url).rstrip("/")
            runs = await asyncio.to_thread(fuzzer.run_all, url, SEEDS)
    failed = [run.summary for run in runs if run.failed]
    assert not failed, "\n".join(failed)
    assert not fuzzer.missed
    await audit(database)
