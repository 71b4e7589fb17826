"""What is different on a cluster that the project did not make: the proof of place, and what errors advise.

Everything below the commands advises what mends the project's own cluster, which is another one.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from rehearsal.chaos.topics import Topics
from rehearsal.cli.composition import Workshop
from rehearsal.cli.judging_assembly import (
    MANAGED_NAMESPACE,
    NAMESPACE,
    books_of,
    bootstrap_servers,
    edge,
    forwarding,
    open_shop,
    read_inside,
)
from rehearsal.core.catalogue import OF_A_RUN
from rehearsal.core.errors import EnvironmentNotReadyError, RehearsalError
from rehearsal.shop.accounts import read_credentials
from rehearsal.shop.stocking import stock_one

_PRODUCTS: Final = "products"  # the topic
_EVENT_SECONDS: Final = 60.0  # an outbox is looked into every second; a loaded machine takes its time
_ANSWER_SECONDS: Final = 10.0

_DEPLOY: Final = "`rehearsal e2e --context {context} --from deploy` deploys this tree there"
_PORTS: Final = "in rehearsal.toml, [contexts.{context}], do the ports lead there? {ports}"
_API: Final = "does `kubectl --context {context} get --raw /readyz` say ok?"
_HINTS: Final = {
    "CLUSTER_OTHER_PROFILE": "leave --profile and --timing out: [contexts.{context}] in rehearsal.toml says",
    "CLUSTER_ABSENT": _DEPLOY,
    "TREE_NOT_DEPLOYED": _DEPLOY,
    "TOKEN_REFUSED": f"{_PORTS}; {_DEPLOY}",
    "SHOP_NOT_STOCKED": f"{_PORTS}; {_DEPLOY}",
    "TOPIC_UNREAD": _PORTS,
    "LEDGER_UNREAD": _PORTS,
    "API_UNREACHABLE": _API,
    "API_REFUSED": _API,
    "KUBECONFIG_UNUSABLE": "the next run copies it anew from what [contexts.{context}] names",
}


@contextmanager
def advised(shop: Workshop) -> Iterator[None]:
    """Have what the block raises advise what helps on the cluster of a context; else nothing changes."""
    try:
        yield
    except RehearsalError as error:
        if shop.paths.context and error.code in _HINTS:
            advice = _HINTS[error.code].format(context=shlex.quote(shop.context), ports=_ways(shop))
            error.hint = f"Of the cluster of context {shop.context}: {advice}."
        raise


def _ways(shop: Workshop) -> str:
    """Return which port of this machine has to lead to which node port."""
    ports, node_ports = shop.catalogue.ports.model_dump(), shop.catalogue.node_ports.model_dump()
    return ", ".join(f"127.0.0.1:{ports[name]} to node port {node_ports[name]}" for name in OF_A_RUN)


def require_same_shop(shop: Workshop) -> None:
    """Raise EnvironmentNotReadyError unless all ports lead to the shop on the cluster of the context.

    A tunnel to another cluster, or a port of the project's own, would have another shop judged. A token of
    another cluster's identity provider is refused by this one's services.
    """
    brokers = {one: Topics(one) for one in bootstrap_servers(shop.catalogue, shop.profile).split(",")}
    before = {address: topics.ends(_PRODUCTS) for address, topics in brokers.items()}
    product_id = asyncio.run(_product(shop))
    if read_inside(shop, "product-service", f"/api/products/{product_id}") is None:
        raise _another(shop, edge(shop), "a product that was made there is not known here")
    for address, topics in brokers.items():
        events = topics.since(_PRODUCTS, before[address], _EVENT_SECONDS)
        if not any(event.get("data", {}).get("product_id") == product_id for event in events):
            why = f"the event of a product that was made did not come within {_EVENT_SECONDS:.0f} s"
            raise _another(shop, address, why)
    _require_same_books(shop, f"place-{product_id}")


async def _product(shop: Workshop) -> str:
    async with open_shop(shop) as opened:
        return await stock_one(opened, "place", "proof of place", 100, 1, shop.emit)


def _require_same_books(shop: Workshop, reference: str) -> None:
    """Close a reference that no payment has, by the port, and look for it in the books of the cluster."""
    books = books_of(shop)
    headers = {"Authorization": f"Bearer {read_credentials(shop.paths.state)['provider_api_key']}"}
    url = f"{books.sandbox_url}/v1/references/{reference}/closure"
    try:
        with httpx.Client(timeout=_ANSWER_SECONDS, trust_env=False) as client:
            client.post(url, headers=headers).raise_for_status()
    except httpx.HTTPError as error:
        raise _another(shop, books.sandbox_url, str(error)) from error
    log = shop.paths.logs / "elsewhere" / "payment-sandbox.log"
    with forwarding(shop, MANAGED_NAMESPACE).to("payment-sandbox", log) as inside:
        entries = books_of(shop, inside).ledger()
    if not any(entry["reference"] == reference for entry in entries):
        raise _another(
            shop, books.sandbox_url, "what was entered into its books does not stand in those here"
        )


def _another(shop: Workshop, address: str, why: str) -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError(
        "SHOP_ELSEWHERE",
        f"{address} leads to another shop than the one of context {shop.context}: {why}",
        hint=f"Each port in rehearsal.toml, [contexts.{shop.context}], has to lead to that cluster: "
        f"{_ways(shop)}. `kubectl get pods -n {NAMESPACE}` shows whether all is well there.",
    )
