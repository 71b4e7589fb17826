"""The service against its own OpenAPI document: all checks, stateful, three seeds, as several users.

Run by `pytest -m contract`. Each user has a captured payment, which a refund may find.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from uuid import uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.fuzzing import Fuzzer, User
from mambogo_testkit.issuing import Issuer, issuer

from support.data import payment_id, reserved, until
from support.pod import Pod
from support.running import running, settings_for
from support.sandbox import WEBHOOK_SECRET, Sandbox

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
REFUNDING = "POST /api/payments/{payment_id}/refunds"

pytestmark = [pytest.mark.contract, pytest.mark.timeout(3000)]


def users_of(tokens: Issuer) -> tuple[User, ...]:
    everything = ("payments:read", "payments:write")

    def token(name: str, *scopes: str, roles: tuple[str, ...] = ()) -> str:
        return tokens.token(name, *scopes, roles=roles, seconds=86_400)

    return (
        User("alice", token("alice", *everything, roles=("shop-admin",))),
        User("bob", token("bob", *everything, roles=("shop-admin",))),
        User("shopper", token("shopper", "payments:read"), forbidden=(REFUNDING,)),
        # The scopes without the role.
        User("pretender", token("pretender", *everything), forbidden=(REFUNDING,)),
    )


async def test_the_service_keeps_its_contract(
    postgres_database: FreshDatabase, database: Database, sandbox: Sandbox, pod: Pod, tmp_path: Path
) -> None:
    with issuer() as tokens:
        users = users_of(tokens)
        async with running(settings_for(tokens, postgres_database, sandbox.url), tokens) as service:
            url = str(service.client.base_url).rstrip("/")
            fuzzer = Fuzzer(CONFIG, tmp_path, users, {"PROVIDER_WEBHOOK_SECRET": WEBHOOK_SECRET})
            for seed, user in itertools.product(SEEDS, users):
                order = uuid4()
                await pod.take(reserved(order, user=user.name))
                await until(database, order, "captured")
                payment = await payment_id(database, order)
                known = {"payment_id": [str(payment)]}
                run = await asyncio.to_thread(fuzzer.run, url, seed, user, known=known)
                assert not run.failed, run.summary
    assert not fuzzer.missed
