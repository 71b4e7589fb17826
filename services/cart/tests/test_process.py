"""cart-service as a process: a death on the way to an order makes neither two orders nor none."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from mambogo_chassis.failpoint_actions import CRASH_STATUS
from mambogo_testkit.dependencies.redis import RedisSpace
from mambogo_testkit.issuing import Issuer
from mambogo_testkit.processes import service_process
from support.shop import ALICE, Neighbours, process_environment_for

MODULE = "mambogo_cart.main"
PATIENCE_SECONDS = 60.0


@pytest.mark.parametrize(("place", "orders"), [("checkout.frozen", 0), ("checkout.acknowledged", 1)])
def test_wherever_a_checkout_dies_the_next_click_makes_it_one_order(
    place: str, orders: int, redis_space: RedisSpace, tokens: Issuer, near: Neighbours, tmp_path: Path
) -> None:
    environment = process_environment_for(redis_space.url, tokens, near.addresses)
    dying = {"MAMBOGO_FAILPOINTS": f"{place}=crash", "SPRING_PROFILES_ACTIVE": "test"}
    headers = {"Authorization": f"Bearer {tokens.token(ALICE, 'carts:write', 'orders:write')}"}
    with service_process(MODULE, environment | dying, log=tmp_path / "log") as service:
        cart = f"{service.url}/api/carts/current"
        item = f"{cart}/items/{near.catalogue.add()}"
        assert httpx.put(item, json={"quantity": 1}, headers=headers).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{cart}/checkout", headers=headers, timeout=PATIENCE_SECONDS)
        assert service.wait() == CRASH_STATUS, service.log
    assert len(near.orders.by_key) == orders
    with service_process(MODULE, environment, log=tmp_path / "log") as service:
        cart = f"{service.url}/api/carts/current"
        again = httpx.post(f"{cart}/checkout", headers=headers, timeout=PATIENCE_SECONDS)
        assert again.status_code == 201
        assert httpx.get(cart, headers=headers).json()["items"] == []
        assert service.terminate() == 0, service.log
    [(_, order)] = near.orders.by_key.values()
    assert again.json()["order_id"] == order["order_id"]
