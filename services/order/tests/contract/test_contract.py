"""order-service against its own OpenAPI document: all checks, stateful, no exclusions, as several users.

Run by `pytest -m contract`. Three seeds together have to use every link that can be inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mambogo_testkit.fuzzing import Fuzzer, User
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.peers import PeerReply, PeerRequest
from mambogo_testkit.processes import service_process
from support.catalogue import Catalogue, quote
from support.shop import ALICE, BOB

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)
WRITING = ("POST /api/orders", "POST /api/orders/{order_id}/cancellation")

pytestmark = [pytest.mark.contract, pytest.mark.timeout(3000)]


def sells_almost_everything(request: PeerRequest) -> PeerReply:
    """Any id is a product, but for those that begin with a 0."""
    asked = request.query["product_id"]
    items = [quote(product_id) for product_id in asked if not product_id.startswith("0")]
    return PeerReply(200, {"items": items, "unknown": []})


def test_the_service_keeps_its_contract_under_three_seeds(
    process_environment: Mapping[str, str], tokens: Issuer, products: Catalogue, tmp_path: Path
) -> None:
    products.behave(sells_almost_everything)
    both = ("orders:read", "orders:write")
    users = (
        User("alice", tokens.token(ALICE, *both, seconds=86_400)),
        User("bob", tokens.token(BOB, *both, seconds=86_400)),
        User("reader", tokens.token("reader", "orders:read", seconds=86_400), forbidden=WRITING),
    )
    fuzzer = Fuzzer(CONFIG, tmp_path, users)
    with service_process("mambogo_order.main", process_environment, log=tmp_path / "log") as service:
        runs = fuzzer.run_all(service.url, SEEDS)
    failed = [run.summary for run in runs if run.failed]
    assert not failed, "\n".join(failed)
    assert not fuzzer.missed
