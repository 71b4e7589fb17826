"""Puts a gateway together from the chassis' parts: the only module that knows both sides of each border."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mambogo_chassis.auth.keys import KeysUnavailableError
from mambogo_chassis.auth.tokens import InvalidTokenError
from mambogo_chassis.auth.tokens import TokenVerifier as ChassisVerifier
from mambogo_chassis.http.edge import Edge as ChassisEdge
from mambogo_chassis.service import Service
from mambogo_chassis.settings import ServiceSettings

from mambogo_gateway.accesslog import GatewayLog
from mambogo_gateway.auth import Principal, TokenRefusedError, TokenVerifier, VerifierUnavailableError
from mambogo_gateway.config import GatewayConfig
from mambogo_gateway.errors import ConfigurationError
from mambogo_gateway.gateway import Gateway
from mambogo_gateway.instances import Instance, InstanceSource
from mambogo_gateway.lifecycle import Server
from mambogo_gateway.limits.redis_store import RedisLimiterStore
from mambogo_gateway.limits.store import LimiterStore
from mambogo_gateway.own import OwnEndpoints
from mambogo_gateway.upkeep import Upkeep

SERVICE_NAME: Final = "gateway-service"
DEFAULT_ROUTES: Final = Path(__file__).with_name("routes.yaml")


class GatewaySettings(ServiceSettings):
    """What the environment and the config server say; routes and limits are the configuration file's."""

    routes_file: Path = DEFAULT_ROUTES
    redis_url: str | None = None
    edge_hosts: tuple[str, ...] = ()
    """Names of load balancers without a network of their own; trusted is what they resolve to now."""


class CheckedTokens:
    """The chassis' verifier, in the words of the gateway's border."""

    def __init__(self, verifier: ChassisVerifier) -> None:
        self._verifier = verifier

    async def verify(self, token: str) -> Principal:
        """See TokenVerifier."""
        try:
            principal = await self._verifier.verify(token)
        except InvalidTokenError as error:
            raise TokenRefusedError(error.message) from error
        except KeysUnavailableError as error:
            raise VerifierUnavailableError(error.message) from error
        return Principal(principal.subject.encode(), principal.expires_at)


class RegisteredInstances:
    """The addresses that a resolver knows, as instances; parsed anew only when they change."""

    def __init__(self, resolve: Callable[[str], Sequence[str]]) -> None:
        self._resolve = resolve
        self._parsed: dict[str, tuple[Sequence[str], tuple[Instance, ...]]] = {}

    def instances(self, service: str) -> Sequence[Instance]:
        """See InstanceSource."""
        urls = self._resolve(service)
        known = self._parsed.get(service)
        if known is None or known[0] != urls:
            known = self._parsed[service] = (urls, tuple(_instance(service, url) for url in urls))
        return known[1]


def _instance(service: str, url: str) -> Instance:
    parts = urlsplit(url)
    # The registry knows pods by their address; it has no other name for them.
    return Instance(service, parts.hostname or "", parts.port or 80, parts.netloc)


async def _addresses(hosts: Sequence[str]) -> frozenset[str]:
    """What some names resolve to; raises OSError when one of them has no address."""
    loop = asyncio.get_running_loop()
    answers = [await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM) for host in hosts]
    return frozenset(str(one[4][0]) for some in answers for one in some)


def make_server(
    service: Service[GatewaySettings],
    config: GatewayConfig,
    *,
    verifier: TokenVerifier | None = None,
    instances: InstanceSource | None = None,
    store: LimiterStore | None = None,
) -> tuple[Server, Gateway]:
    """A gateway from a service's parts, within its event loop; a part that is given replaces the chassis'."""
    settings = service.settings.current
    if verifier is None:
        if service.verifier is None:
            raise ConfigurationError(
                "no-token-verifier",
                "the gateway has nothing to check tokens with",
                "set ISSUER_URL, JWKS_URL and AUDIENCE",
            )
        verifier = CheckedTokens(service.verifier)
    if instances is None:
        instances = RegisteredInstances(service.resolve)
    if store is None and settings.redis_url is not None:
        store = RedisLimiterStore(settings.redis_url)
    application = service.app(title="Mambogo gateway", routers=())
    assert isinstance(application, ChassisEdge)  # noqa: S101 - the chassis wraps every application in it
    gateway = Gateway(
        config,
        loop=asyncio.get_running_loop(),
        verifier=verifier,
        instances=instances,
        limiter_store=store,
        observer=application.metrics,
        access_log=GatewayLog(settings.application_name, application.access_log),
        tracer=service.tracer,
    )
    gateway.own_endpoints = OwnEndpoints(application)
    service.metrics.registry.register(gateway.metrics)
    server = Server(
        gateway,
        Upkeep(
            gateway,
            config_path=settings.routes_file,
            look_edge_up=partial(_addresses, settings.edge_hosts) if settings.edge_hosts else None,
        ),
        service.lifecycle,
        drain_seconds=settings.drain_seconds,
        stop_timeout_seconds=settings.stop_timeout_seconds,
    )
    return server, gateway
