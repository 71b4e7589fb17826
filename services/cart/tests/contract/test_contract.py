"""cart-service against its own OpenAPI document: all checks, stateful, no exclusions.

Run by `pytest -m contract`, with three seeds, as several users.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.fuzzing import Fuzzer, User
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.peers import PeerReply, PeerRequest
from mambogo_testkit.processes import service_process
from support.shop import ALICE, PRICE_MINOR, Neighbours, process_environment_for, quote

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
CHECKOUT = "POST /api/carts/current/checkout"
EVERYTHING = (
    "GET /api/carts/current",
    "DELETE /api/carts/current",
    "PUT /api/carts/current/items/{product_id}",
    "DELETE /api/carts/current/items/{product_id}",
    CHECKOUT,
)

pytestmark = [pytest.mark.contract, pytest.mark.timeout(3000)]


def test_the_service_keeps_its_contract_under_three_seeds(
    redis_space: RedisSpace, tokens: Issuer, near: Neighbours, tmp_path: Path
) -> None:
    def sells_almost_everything(request: PeerRequest) -> PeerReply:
        """Any id is a product, but for those that begin with a 0."""
        asked = [name for name in request.query["product_id"] if not name.startswith("0")]
        for product_id in asked:
            near.catalogue.products[product_id] = (PRICE_MINOR, "EUR", "ACTIVE")
        return PeerReply(200, {"items": [quote(name, PRICE_MINOR, "EUR", "ACTIVE") for name in asked]})

    near.catalogue.server.behaviour = sells_almost_everything
    environment = process_environment_for(redis_space.url, tokens, near.addresses)
    both = ("carts:write", "orders:write")
    users = (
        User("alice", tokens.token(ALICE, *both, seconds=86_400)),
        User("bob", tokens.token("bob", *both, seconds=86_400)),
        User("collector", tokens.token("collector", "carts:write", seconds=86_400), forbidden=(CHECKOUT,)),
        User("visitor", tokens.token("visitor", "orders:read", seconds=86_400), forbidden=EVERYTHING),
    )
    fuzzer = Fuzzer(CONFIG, tmp_path, users)
    with service_process("mambogo_cart.main", environment, log=tmp_path / "log") as service:
        runs = fuzzer.run_all(service.url, SEEDS)
    failed = [run.summary for run in runs if run.failed]
    assert not failed, "\n".join(failed)
    assert not fuzzer.missed
    assert near.orders.by_key, "no run ever ordered anything"
