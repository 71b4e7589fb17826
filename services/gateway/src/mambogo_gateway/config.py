"""The gateway's configuration: a YAML document, checked as a whole before anything uses it.

Unknown keys are refused by name and place. What the environment says (addresses of Redis, Eureka and
Keycloak) is not here: that is the chassis' settings.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mambogo_gateway.errors import ConfigurationError

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ALL_METHODS: frozenset[Method] = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PositiveSeconds = Annotated[float, Field(gt=0, le=3600)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RateLimit(_Strict):
    """A token bucket: `per_second` tokens flow in, at most `burst` are kept."""

    per_second: Annotated[float, Field(gt=0, le=1_000_000)]
    burst: Annotated[int, Field(gt=0, le=10_000_000)]


class RouteConfig(_Strict):
    """One route: which paths, to which service, under which conditions."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    path: str
    service: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    methods: frozenset[Method] = ALL_METHODS
    public_methods: frozenset[Method] = frozenset()
    """Methods that need no token; one that is sent is still checked."""
    deadline_seconds: PositiveSeconds = 10.0
    stall_seconds: PositiveSeconds = 30.0
    """How long content may stand still once an answer has begun."""
    max_content_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = 1 << 20
    retries: Annotated[int, Field(ge=0, le=3)] = 1

    @field_validator("path")
    @classmethod
    def _path_is_a_pattern(cls, path: str) -> str:
        segments = path.split("/")
        if segments[0] or len(segments) < 2:
            raise ValueError("a path starts with a slash")
        if "**" in segments[:-1] or any("*" in s and s not in ("*", "**") for s in segments):
            raise ValueError("'*' stands for a whole segment, '**' only at the end")
        if any(not segment for segment in segments[1:]) and path != "/":
            raise ValueError("a path has no empty segment")
        if segments[1] == "actuator":
            raise ValueError("/actuator is the gateway's own")
        return path

    @model_validator(mode="after")
    def _public_methods_are_methods(self) -> RouteConfig:
        if not self.public_methods <= self.methods:
            raise ValueError("public_methods names methods that the route does not take")
        return self


class BreakerConfig(_Strict):
    """When a failing upstream is spared, and how it is tried again."""

    window_seconds: PositiveSeconds = 10.0
    minimum_requests: Annotated[int, Field(ge=1)] = 20
    failure_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    open_seconds: PositiveSeconds = 2.0
    trial_requests: Annotated[int, Field(ge=1)] = 3


class UpstreamConfig(_Strict):
    """How every service behind the gateway is reached."""

    connect_timeout_seconds: PositiveSeconds = 1.0
    idle_timeout_seconds: PositiveSeconds = 30.0
    """Below the 75 s after which a service closes an idle connection, so that it is ours to close."""
    max_in_flight: Annotated[int, Field(ge=1)] = 512
    max_idle_per_pod: Annotated[int, Field(ge=0)] = 64
    ejection_seconds: PositiveSeconds = 0.5
    max_ejection_seconds: PositiveSeconds = 10.0
    failures_to_eject: Annotated[int, Field(ge=1)] = 5
    """Broken or late answers in a row; a failed connect ejects at once."""
    retry_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    retry_reserve: Annotated[int, Field(ge=0)] = 10
    breaker: BreakerConfig = BreakerConfig()


class LimitsConfig(_Strict):
    """What one gateway process is willing to hold and to wait for."""

    max_in_flight: Annotated[int, Field(ge=1)] = 1024
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    head_timeout_seconds: PositiveSeconds = 10.0
    idle_timeout_seconds: PositiveSeconds = 75.0
    per_user: RateLimit | None = RateLimit(per_second=50, burst=100)
    per_address: RateLimit | None = RateLimit(per_second=200, burst=400)
    lease_tokens: Annotated[int, Field(ge=1)] = 20
    fallback_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a limit that each process grants by itself while Redis is away."""
    trusted_edges: tuple[str, ...] = ()
    """Networks of the load balancers whose X-Forwarded-For is believed."""

    @field_validator("trusted_edges")
    @classmethod
    def _edges_are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks


class GatewayConfig(_Strict):
    """The whole document."""

    routes: Annotated[tuple[RouteConfig, ...], Field(min_length=1)]
    limits: LimitsConfig = LimitsConfig()
    upstreams: UpstreamConfig = UpstreamConfig()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> GatewayConfig:
        ids = [route.id for route in self.routes]
        doubled = {route_id for route_id in ids if ids.count(route_id) > 1}
        if doubled:
            raise ValueError(f"route ids used twice: {', '.join(sorted(doubled))}")
        return self


def parse_config(text: str, *, origin: str) -> GatewayConfig:
    """The checked configuration; raises ConfigurationError that names each bad place in `origin`."""
    hint = "the configuration in force stays; see services/gateway/README.md"
    try:
        document = yaml.safe_load(text)
        return GatewayConfig.model_validate(document)
    except yaml.YAMLError as error:
        raise ConfigurationError("config-not-yaml", f"{origin} is not YAML: {error}", hint) from error
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'document'}: {item['msg']}"
            for item in error.errors()
        )
        raise ConfigurationError("config-invalid", f"{origin}: {places}", hint) from error


def load_config(path: Path) -> GatewayConfig:
    """Read and check a configuration file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("config-unreadable", f"{path} cannot be read: {error}") from error
    return parse_config(text, origin=str(path))
