"""The stages that judge the product, put together: the shop's addresses, accounts and objectives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from rehearsal.chaos.experiment import Experiment
from rehearsal.chaos.injecting import Extent, Injector, Kind, Workload
from rehearsal.chaos.postgres import Postgres
from rehearsal.cli.composition import Workshop
from rehearsal.cluster.engine import DockerNodeEngine
from rehearsal.cluster.forwarding import Forwarding
from rehearsal.contract.fuzzing.deployed import (
    BY_GATEWAY,
    DIRECTLY,
    INSIDE_ONLY,
    REFUSED_ON_THE_WAY,
    Way,
)
from rehearsal.contract.tapping.tap import Tap
from rehearsal.core.catalogue import Catalogue
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.core.ledger import Ledger
from rehearsal.load.autoscaling.parsing import controller_of
from rehearsal.load.autoscaling.sampling import Lookout
from rehearsal.load.autoscaling.stepping import Step
from rehearsal.load.journeys.plan import JourneyPlan, Login
from rehearsal.load.objectives import Objectives
from rehearsal.load.weighing import goods
from rehearsal.load.weighing.beside import Beside
from rehearsal.load.weighing.operations import Goods
from rehearsal.load.weighing.session import Weighing
from rehearsal.shop.accounts import OF_LOAD, OF_WEIGHING, accounts, read_credentials, realm
from rehearsal.shop.client import HttpShop, http_client
from rehearsal.shop.tokens import PasswordTokens, Realm
from rehearsal.stages.chaos import ChaosStage
from rehearsal.stages.contract import ContractStage, Fuzzing
from rehearsal.stages.load import LoadStage
from rehearsal.stages.room import Stage

if TYPE_CHECKING:
    from rehearsal.chaos.sources import ClusterSource

NAMESPACE = "mambogo-production"
MANAGED_NAMESPACE = "mambogo-managed"
NAMESPACES = (NAMESPACE, MANAGED_NAMESPACE)
_REALM = "mambogo"
_LEAST_SECONDS = 5.0
_ANSWER_SECONDS = 10.0
_ORDERS = Workload(NAMESPACE, "order-service")
_INVENTORY = Workload(NAMESPACE, "inventory-service")
_SERVICES = (
    _ORDERS,
    *(Workload(NAMESPACE, f"{name}-service") for name in ("gateway", "product", "cart", "payment")),
    _INVENTORY,
)
_KAFKA = Workload(MANAGED_NAMESPACE, "kafka", Kind.STATEFUL_SET)
_MANAGED = (
    Workload(NAMESPACE, "config-server"),
    Workload(NAMESPACE, "eureka", Kind.STATEFUL_SET),
    Workload(MANAGED_NAMESPACE, "postgres", Kind.STATEFUL_SET),
    Workload(MANAGED_NAMESPACE, "redis", Kind.STATEFUL_SET),
    _KAFKA,
    *(Workload(MANAGED_NAMESPACE, name) for name in ("keycloak", "payment-sandbox", "load-balancer", "cdn")),
)


def judging_stages(
    shop: Workshop, ledger: Ledger, *, thorough: bool, only: Sequence[str] = ()
) -> Mapping[str, Stage]:
    """Return the stages; nothing is connected before one of them runs.

    `thorough`: every part is broken, under more orders and for longer. `only`: of all experiments these.
    """

    def contract() -> ContractStage:
        return ContractStage(
            shop.paths.root,
            lambda service: _document(shop, service),
            lambda: open_shop(shop),
            edge(shop),
            _fuzzing(shop),
        )

    def load() -> LoadStage:
        promised = shop.catalogue.objectives
        return LoadStage(
            lambda: open_shop(shop),
            Objectives(promised.order_accepted_ratio, promised.order_p95_seconds, promised.page_p95_seconds),
            end_seconds=promised.order_end_seconds,
            journeys=lambda products, seed: _journeys(shop, products, seed),
            steps=(_step(shop, "order-service"),),
        )

    def chaos() -> ChaosStage:
        flows = shop.catalogue.flows
        every = experiments(shop.catalogue, thorough=thorough)
        chosen = choose(every, only)
        return ChaosStage(
            lambda: open_shop(shop),
            Injector(shop.api(), ledger, postgres_of(shop)),
            chosen,
            rate_per_second=flows.thorough_orders_per_second if thorough else flows.chaos_orders_per_second,
            end_seconds=shop.catalogue.objectives.order_end_seconds,
            source=lambda: books_of(shop),
            left_out=tuple(one.title for one in every if one not in chosen),
        )

    return {
        "contract": lambda room: contract()(room),
        "load": lambda room: load()(room),
        "chaos": lambda room: chaos()(room),
    }


def weighing_of(shop: Workshop) -> Weighing:
    """Return what weighs the deployed shop's operations beside earlier ones, as a shopper of its own."""

    async def stocked() -> Goods:
        async with open_shop(shop) as opened:
            within = shop.catalogue.objectives.order_end_seconds
            return await goods.prepare(opened, OF_WEIGHING, within, shop.emit)

    return Weighing(
        shop.api(),
        DockerNodeEngine(shop.docker),
        NAMESPACE,
        forwarding(shop).to_pod,
        Beside(shop.api(), shop.ledger, NAMESPACE).pod,
        bearer=lambda: asyncio.run(_tokens(shop, [OF_WEIGHING]))[OF_WEIGHING],
        goods=lambda: asyncio.run(stocked()),
    )


def forwarding(shop: Workshop, namespace: str = NAMESPACE) -> Forwarding:
    """Return what makes ways to the deployed shop's services and pods, past edge and gateway."""
    kubectl = shop.supplies.tool("kubectl")
    return Forwarding(kubectl, shop.paths.kubeconfig, shop.context, namespace, shop.api)


def read_inside(shop: Workshop, service: str, path: str) -> Mapping[str, Any] | None:
    """Return what a service itself answers, parsed; None for 404.

    Raises EnvironmentNotReadyError when there is no way to it, or it answers something else.
    """
    log = shop.paths.logs / "elsewhere" / f"{service}.log"
    with (
        forwarding(shop).to(service, log) as address,
        httpx.Client(base_url=address, timeout=_ANSWER_SECONDS, trust_env=False) as client,
    ):
        try:
            answer = client.get(path)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            return dict(answer.raise_for_status().json())
        except (httpx.HTTPError, ValueError, TypeError) as error:
            raise EnvironmentNotReadyError(
                "SERVICE_NOT_READ",
                f"{service} does not answer {path}: {error}",
                hint=f"`kubectl get pods -n {NAMESPACE}` shows whether it is well.",
            ) from error


def _fuzzing(shop: Workshop) -> Fuzzing:
    """Return both ways to the services: directly, and through edge and gateway."""
    inside = forwarding(shop)
    address = edge(shop)

    def secrets() -> Mapping[str, str]:
        return {"PROVIDER_WEBHOOK_SECRET": read_credentials(shop.paths.state)["provider_webhook_secret"]}

    return Fuzzing(
        lambda: open_shop(shop),
        (
            Way("directly", inside.to, DIRECTLY),
            Way(
                "through the gateway",
                lambda service, log: nullcontext(address),
                BY_GATEWAY,
                hidden=INSIDE_ONLY,
                refused=REFUSED_ON_THE_WAY,
                as_all=False,
                every_link=False,
            ),
        ),
        lambda users: _tokens(shop, users),
        secrets,
    )


async def _tokens(shop: Workshop, users: Sequence[str]) -> Mapping[str, str]:
    """Return fresh tokens, which live as long as tokens do."""
    credentials = read_credentials(shop.paths.state)
    async with http_client("") as client:
        tokens = PasswordTokens(client, _realm(shop, credentials), accounts(credentials))
        return {user: await tokens.bearer(user) for user in users}


def _realm(shop: Workshop, credentials: Mapping[str, str]) -> Realm:
    return realm(_token_url(shop), credentials)


def _step(shop: Workshop, workload: str) -> Step:
    timing = shop.catalogue.timings[shop.timing]
    return Step(
        Lookout(shop.api(), NAMESPACE, f"{workload}-hpa", workload),
        controller_of(timing.controller_manager),
        float(timing.metrics_resolution_seconds),
        shop.catalogue.flows.step_orders_per_second,
        shop.catalogue.objectives.new_pod_seconds,
    )


def _journeys(shop: Workshop, products: tuple[str, ...], seed: int) -> JourneyPlan:
    credentials, flows = read_credentials(shop.paths.state), shop.catalogue.flows
    place, every = realm(_token_url(shop), credentials), accounts(credentials)
    return JourneyPlan(
        "journeys",
        edge(shop),
        flows.load_shoppers_per_second,
        flows.load_seconds,
        products,
        Login(
            place.token_url,
            place.client_id,
            place.client_secret,
            every[OF_LOAD[0]].scope,
            {name: every[name].password for name in OF_LOAD},
        ),
        seed,
        shop.catalogue.objectives.order_end_seconds,
    )


def edge(shop: Workshop) -> str:
    """Return the address by which the deployed shop is reached."""
    return f"http://127.0.0.1:{shop.catalogue.ports.http}"


def _token_url(shop: Workshop) -> str:
    issuer = f"http://127.0.0.1:{shop.catalogue.ports.identity}/realms/{_REALM}"
    return f"{issuer}/protocol/openid-connect/token"


def experiments(catalogue: Catalogue, *, thorough: bool) -> tuple[Experiment, ...]:
    """Return what the chaos stage tries, in its order (docs/reference/experiments.md)."""
    flows, promised = catalogue.flows, catalogue.objectives

    def kill(workload: Workload, extent: Extent) -> Experiment:
        return Experiment(
            f"kill-{extent}-{workload.name}",
            workload,
            extent,
            flows.thorough_seconds if thorough else flows.chaos_control_seconds,
            promised.recovery_seconds,
            least_seconds=flows.thorough_seconds if thorough else _LEAST_SECONDS,
        )

    outage = Experiment(
        "outage-kafka",
        _KAFKA,
        Extent.ALL,
        flows.chaos_control_seconds,
        promised.recovery_seconds,
        outage_seconds=flows.chaos_outage_seconds,
    )
    # Of all that consume the one with the most events; two faults at once, because each alone is stood by a
    # consumer that acknowledges too early.
    cut_off = Experiment(
        "cut-off-inventory-service",
        _INVENTORY,
        Extent.ALL,
        flows.chaos_control_seconds,
        promised.recovery_seconds,
        outage_seconds=flows.chaos_database_seconds,
        database="inventory",
    )
    hit = (*_SERVICES, *_MANAGED) if thorough else _SERVICES
    return (kill(_ORDERS, Extent.ONE), *(kill(one, Extent.ALL) for one in hit), cut_off, outage)


def choose(every: Sequence[Experiment], only: Sequence[str]) -> tuple[Experiment, ...]:
    """Return the experiments of these ids, in their order; all without any.

    Raises ConfigurationError for an id that none of them has.
    """
    known = [one.id for one in every]
    if unknown := [id_ for id_ in only if id_ not in known]:
        raise ConfigurationError(
            "EXPERIMENT_UNKNOWN",
            f"there is no experiment {unknown[0]!r}",
            hint=f"Known: {', '.join(known)}. `--thorough` knows more (docs/reference/experiments.md).",
        )
    return tuple(one for one in every if not only or one.id in only)


@asynccontextmanager
async def open_shop(shop: Workshop) -> AsyncIterator[HttpShop]:
    credentials = read_credentials(shop.paths.state)
    async with http_client(edge(shop)) as client:
        yield HttpShop(client, PasswordTokens(client, _realm(shop, credentials), accounts(credentials)))


def postgres_of(shop: Workshop) -> Postgres:
    """Return the deployed shop's database server."""
    return Postgres(shop.supplies.tool("kubectl"), shop.paths.kubeconfig, shop.context)


def books_of(shop: Workshop, sandbox_url: str = "") -> ClusterSource:
    """Return where the deployed shop's rows, topics and payments are; these by its port, or elsewhere."""
    from rehearsal.chaos.sources import ClusterSource
    from rehearsal.chaos.topics import Topics

    return ClusterSource(
        postgres_of(shop),
        Topics(bootstrap_servers(shop.catalogue, shop.profile)),
        sandbox_url or f"http://127.0.0.1:{shop.catalogue.ports.sandbox}",
    )


def tap_of(shop: Workshop, folder: Path) -> Tap:
    """Return a tap on the deployed shop's topics; it is not begun."""
    return Tap(shop.paths.root, bootstrap_servers(shop.catalogue, shop.profile), folder)


def bootstrap_servers(catalogue: Catalogue, profile: str) -> str:
    """Return the addresses of all of a profile's brokers: whichever is away, another one answers."""
    ports = catalogue.ports.model_dump()
    return ",".join(f"127.0.0.1:{ports[name]}" for name in catalogue.brokers(profile))


def _document(shop: Workshop, service: str) -> Mapping[str, Any]:
    # The services have no way in of their own. The API server's proxy is fast, and a stranger to network
    # policies where they are enforced, as they may be on a cluster of others.
    if shop.paths.context:
        document = read_inside(shop, service, "/openapi.json")
    else:
        path = f"/api/v1/namespaces/{NAMESPACE}/services/{service}:http/proxy/openapi.json"
        document = shop.api().get(path)
    if document is None:
        raise EnvironmentNotReadyError(
            "DOCUMENT_NOT_THERE",
            f"{service} serves no openapi.json",
            hint=f"`kubectl get service {service} -n {NAMESPACE}` shows whether it is deployed.",
        )
    return document
