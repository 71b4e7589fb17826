"""The stages that judge the product, put together: the shop's addresses, accounts and objectives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from rehearsal.chaos.experiment import Experiment
from rehearsal.chaos.injecting import Extent, Injector, Workload
from rehearsal.cli.composition import Workshop
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.load.judging import Objectives
from rehearsal.shop.accounts import accounts, read_credentials, realm
from rehearsal.shop.client import HttpShop, http_client
from rehearsal.shop.tokens import PasswordTokens
from rehearsal.stages.chaos import ChaosStage
from rehearsal.stages.contract import ContractStage
from rehearsal.stages.load import LoadStage
from rehearsal.stages.room import Stage

NAMESPACE = "mambogo-production"
NAMESPACES = (NAMESPACE, "mambogo-managed")
_REALM = "mambogo"


def judging_stages(shop: Workshop, ledger: Ledger) -> Mapping[str, Stage]:
    """Return the stages; nothing is connected before one of them runs."""

    def contract() -> ContractStage:
        return ContractStage(
            shop.paths.root, lambda service: _document(shop, service), lambda: open_shop(shop)
        )

    def load() -> LoadStage:
        flows, promised = shop.catalogue.flows, shop.catalogue.objectives
        return LoadStage(
            lambda: open_shop(shop),
            Objectives(promised.order_accepted_ratio, promised.order_p95_seconds),
            rate_per_second=flows.load_orders_per_second,
            seconds=flows.load_seconds,
            end_seconds=promised.order_end_seconds,
        )

    def chaos() -> ChaosStage:
        return ChaosStage(
            lambda: open_shop(shop),
            Injector(shop.api(), ledger),
            _experiments(shop),
            rate_per_second=shop.catalogue.flows.chaos_orders_per_second,
            end_seconds=shop.catalogue.objectives.order_end_seconds,
        )

    return {
        "contract": lambda room: contract()(room),
        "load": lambda room: load()(room),
        "chaos": lambda room: chaos()(room),
    }


def _experiments(shop: Workshop) -> tuple[Experiment, ...]:
    control = shop.catalogue.flows.chaos_control_seconds
    recovery = shop.catalogue.objectives.recovery_seconds
    orders = Workload(NAMESPACE, "order-service")
    return tuple(
        Experiment(f"kill-{extent}-order-service", orders, extent, control, recovery) for extent in Extent
    )


@asynccontextmanager
async def open_shop(shop: Workshop) -> AsyncIterator[HttpShop]:
    ports = shop.catalogue.ports
    credentials = read_credentials(shop.paths.state)
    issuer = f"http://127.0.0.1:{ports.identity}/realms/{_REALM}"
    async with http_client(f"http://127.0.0.1:{ports.http}") as client:
        place = realm(f"{issuer}/protocol/openid-connect/token", credentials)
        yield HttpShop(client, PasswordTokens(client, place, accounts(credentials)))


def _document(shop: Workshop, service: str) -> Mapping[str, Any]:
    # Through the API server: the services have no way in of their own.
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{service}:http/proxy/openapi.json"
    document = shop.api().get(path)
    if document is None:
        raise EnvironmentNotReadyError(
            "DOCUMENT_NOT_THERE",
            f"{service} serves no openapi.json",
            hint=f"`kubectl get service {service} -n {NAMESPACE}` shows whether it is deployed.",
        )
    return document
