"""The service as a process that is killed at each dangerous moment, and started again."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from mambogo_chassis.database import Database
from mambogo_testkit.dependencies.postgres import Database as FreshDatabase
from mambogo_testkit.processes import service_process
from mambogo_testkit.serving import NOWHERE

from support.data import cancelled, payment_id, reserved, told, until
from support.pod import Pod
from support.sandbox import API_KEY, WEBHOOK_SECRET, Sandbox


def environment(database: FreshDatabase, sandbox: Sandbox, failpoints: str = "") -> dict[str, str]:
    """Short leases, so that what a dead process held is taken over soon."""
    return {
        "SPRING_PROFILES_ACTIVE": "test",
        "MAMBOGO_FAILPOINTS": failpoints,
        "DB_HOST": database.host,
        "DB_PORT": str(database.port),
        "DB_NAME": database.name,
        "DB_USER": database.user,
        "DB_PASSWORD": database.password,
        "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        "PROVIDER_URL": sandbox.url,
        "PROVIDER_API_KEY": API_KEY,
        "PROVIDER_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "PROVIDER_TIMEOUT_SECONDS": "5",
        "WORKER_LEASE_SECONDS": "16",
        "WORKER_IDLE_SECONDS": "0.05",
    }


@pytest.mark.parametrize(
    "place",
    ["claimed", "authorised", "captured", "recorded", "concluded", "refunded"],
)
async def test_a_process_that_is_killed_neither_charges_nor_refunds_twice(
    place: str,
    pod: Pod,
    database: Database,
    postgres_database: FreshDatabase,
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    order = uuid4()
    crash = environment(postgres_database, sandbox, f"payment.{place}=crash")
    with service_process("mambogo_payment", crash, log=tmp_path / "crash.log") as service:
        await pod.take(reserved(order))
        if place == "refunded":
            await until(database, order, "captured")
            await pod.take(cancelled(order))
        assert service.wait() != 0
    async with database.connection() as connection:
        # The lease's end, without waiting for it.
        await connection.execute("UPDATE payment SET due_at = now() WHERE due_at IS NOT NULL")
    log = tmp_path / "sound.log"
    with service_process("mambogo_payment", environment(postgres_database, sandbox), log=log):
        if place != "refunded":
            await until(database, order, "captured")
            await pod.take(cancelled(order))
        await until(database, order, "refunded")
    assert sandbox.kinds(await payment_id(database, order)) == ["authorised", "captured", "refunded"]
    assert await told(database, order) == ["captured", "refunded"]
