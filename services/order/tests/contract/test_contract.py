"""order-service against its own OpenAPI document: all checks, stateful, no exclusions.

Run by `pytest -m contract`. Three seeds together have to use every link that can be inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mambogo_testkit.fuzzing import Fuzzer
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.peers import PeerReply, PeerRequest
from mambogo_testkit.processes import service_process
from support.catalogue import Catalogue, quote
from support.shop import ALICE

CONFIG = Path(__file__).parents[2] / "contract" / "schemathesis.toml"
SEEDS = (1, 2, 3)

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
    token = tokens.token(ALICE, "orders:read", "orders:write")
    fuzzer = Fuzzer(CONFIG, tmp_path, {"AUTHORIZATION": f"Bearer {token}"})
    with service_process("mambogo_order.main", process_environment, log=tmp_path / "log") as service:
        runs = [fuzzer.run(service.url, seed) for seed in SEEDS]
    failed = [run.summary for run in runs if run.failed]
    assert not failed, "\n".join(failed)
    assert fuzzer.links_used == runs[-1].links_inferred
    assert fuzzer.links_used >= 4
