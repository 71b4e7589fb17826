"""The edge in front of the live shop."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.deploy.certificates import AUTHORITY_FILE, EDGE_HOST, FOLDER
from rehearsal.shop.accounts import read_credentials

from tests.live.bench import Bench

pytestmark = pytest.mark.cluster

_ORDERS = "/api/orders"


@pytest.fixture
def shop(settings: Catalogue) -> Iterator[httpx.Client]:
    """A client of the edge that is nobody."""
    base = f"http://127.0.0.1:{settings.ports.http}"
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def product(shop: httpx.Client) -> str:
    """The path of one product; `nox -s shop` has put some there."""
    items = shop.get("/api/products", params={"limit": 1}).json()["items"]
    assert items, "there are no products: nox -s shop"
    return f"/api/products/{items[0]['id']}"


def test_a_product_is_kept_until_it_is_purged(shop: httpx.Client, product: str, folders: Paths) -> None:
    def kept() -> httpx.Response:
        answer = shop.get(product)
        if answer.headers["X-Cache"] != "HIT":
            raise NotYet(answer.headers["X-Cache"])
        return answer

    assert wait_until("a kept product", kept, timeout_seconds=30, hint="See cdn.conf.").status_code == 200
    key = read_credentials(folders.state)["purge_key"]
    assert shop.request("PURGE", product).status_code == 403
    assert shop.request("PURGE", product, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert shop.get(product).headers["X-Cache"] == "MISS"


def test_what_needs_a_token_passes_the_cache_by(shop: httpx.Client) -> None:
    answer = shop.get(_ORDERS, headers={"Authorization": "Bearer nobody's"})
    assert (answer.status_code, answer.headers["X-Cache"]) == (401, "PASS")


def test_the_shop_is_there_by_tls(settings: Catalogue, folders: Paths, product: str) -> None:
    context = ssl.create_default_context(cafile=str(folders.state / FOLDER / AUTHORITY_FILE))
    with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
        # By address, because not every resolver knows names below localhost.
        answer = client.get(
            f"https://127.0.0.1:{settings.ports.https}{product}",
            headers={"Host": EDGE_HOST},
            extensions={"sni_hostname": EDGE_HOST},
        )
    assert answer.status_code == 200


def test_the_gateway_trusts_the_edge_s_pods(bench: Bench) -> None:
    pods = bench.core.list_namespaced_pod("mambogo-managed", label_selector="tier=edge").items
    script = "getent ahostsv4 edge.default.svc.cluster.local. | awk '{print $1}' | sort -u"
    said = bench.run("edge-addresses", script)
    assert set(said.split()) == {pod.status.pod_ip for pod in pods}
