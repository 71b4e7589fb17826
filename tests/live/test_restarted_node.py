"""`docker restart` of the node, then `rehearsal cluster repair`: the whole stack is back with its data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from kubernetes import client, config
from rehearsal.chaos.proving.audit import audit
from rehearsal.chaos.proving.collecting import WITH_DATABASE, collect
from rehearsal.chaos.settling import settle
from rehearsal.chaos.sources import ClusterSource
from rehearsal.cli.composition import workshop
from rehearsal.cli.judging_assembly import books_of
from rehearsal.cluster.engine import DockerNodeEngine, connect
from rehearsal.cluster.record import Record
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.paths import Paths
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.shop.accounts import read_credentials

from tests.live.test_books import BY_HISTORY
from tests.show.program import rehearsal

pytestmark = [pytest.mark.cluster, pytest.mark.killed, pytest.mark.timeout(1800)]

_SHOPPER = "shopper-02"
_ORDERS = 5
_REST_SECONDS = 60.0
_BACK_SECONDS = 300.0
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


@dataclass(frozen=True, slots=True)
class Cart:
    """A shopper's cart, through the edge."""

    base: str
    token_url: str
    form: Mapping[str, str]

    def put(self, product_id: str, quantity: int) -> None:
        """Have so many of a product in the cart."""
        with self._client() as shop:
            answer = shop.put(f"/api/carts/current/items/{product_id}", json={"quantity": quantity})
            assert answer.status_code == 200, answer.text

    def quantities(self) -> Mapping[str, int]:
        """Return what is in the cart, by product."""
        with self._client() as shop:
            answer = shop.get("/api/carts/current")
            assert answer.status_code == 200, answer.text
            return {one["product_id"]: one["quantity"] for one in answer.json()["items"]}

    def a_product(self) -> str:
        """Return a product of the catalogue."""
        with self._client() as shop:
            return str(shop.get("/api/products", params={"limit": 1}).json()["items"][0]["id"])

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=self.base, trust_env=False, timeout=30) as shop:
            token = shop.post(self.token_url, data=dict(self.form)).json()["access_token"]
            shop.headers["Authorization"] = f"Bearer {token}"
            yield shop


@pytest.fixture
def cart(settings: Catalogue, folders: Paths) -> Cart:
    """The cart of a shopper whom no other test is."""
    credentials = read_credentials(folders.state)
    form = {
        "grant_type": "password",
        "client_id": "rehearsal",
        "client_secret": credentials["harness_client_secret"],
        "username": _SHOPPER,
        "password": credentials["shopper_password"],
    }
    issuer = f"http://127.0.0.1:{settings.ports.identity}/realms/mambogo"
    return Cart(f"http://127.0.0.1:{settings.ports.http}", f"{issuer}/protocol/openid-connect/token", form)


def test_the_whole_stack_is_back_with_its_data(folders: Paths, made: Record, cart: Cart) -> None:
    for _ in range(_ORDERS):
        rehearsal("shop").well()
    cart.put(product := cart.a_product(), 3)
    with workshop("live-tests", announce=False) as shop:
        before = _everything(books_of(shop))
    assert len(before["order orders"]) >= _ORDERS

    docker = connect()
    for name in DockerNodeEngine(docker).nodes(made.spec.name):
        docker.containers.get(name.name).restart(timeout=10)
    docker.close()
    rehearsal("cluster", "repair").well()

    api = config.new_client_from_config(str(folders.kubeconfig), made.spec.context)
    wait_until(
        "every pod",
        lambda: _all_ready(client.CoreV1Api(api)),
        timeout_seconds=_BACK_SECONDS,
        hint="`kubectl get pods -A` shows what is missing.",
        interval_seconds=1.0,
    )
    api.close()
    with workshop("live-tests", announce=False) as shop:
        books = books_of(shop)
        after = _everything(books)
        lost = {name: gone for name in before if (gone := sorted(set(before[name]) - set(after[name])))}
        assert lost == {}
        assert cart.quantities()[product] == 3
        rehearsal("shop").well()
        asyncio.run(settle(books, _REST_SECONDS))
        found = audit([], collect(books, quiet_seconds=0.0, raced={}))
    looked = [one for one in found.results if one.invariant.id not in BY_HISTORY]
    assert [(one.invariant.id, one.violations) for one in looked if one.violations] == []


def _everything(books: ClusterSource) -> dict[str, list[str]]:
    """Return the rows of every table, the records of the topics and the provider's books, as text."""
    left = asyncio.run(settle(books, _REST_SECONDS))
    assert left == []
    found: dict[str, list[str]] = {}
    for service in WITH_DATABASE:
        for (table,) in books.rows(service, _TABLES):
            rows = books.rows(service, f'SELECT * FROM "{table}"')  # noqa: S608 - a name of our own
            found[f"{service} {table}"] = [repr(row) for row in rows]
    found["topics"] = [repr((topic, event)) for topic, event in books.published()]
    found["ledger"] = [repr(entry) for entry in books.ledger()]
    return found


def _all_ready(core: client.CoreV1Api) -> bool:
    items: list[Any] = core.list_pod_for_all_namespaces().items
    waiting = [one.metadata.name for one in items if one.status.phase != "Succeeded" and not _is_ready(one)]
    if waiting:
        raise NotYet(f"not ready: {', '.join(waiting)}")
    return True


def _is_ready(pod: Any) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())
