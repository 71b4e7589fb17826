"""The settings that every service has, and how a field says that it may change while the service runs.

Names bind as Spring's do: `db.pool-size`, `DB_POOL_SIZE` and `dbPoolSize` are one setting. Where values come
from is `loading`'s business.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mambogo_chassis.errors import ChassisError

_REFRESHABLE: Final = "x-refreshable"

ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
Profiles = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)*$", max_length=200)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]
ServiceAddress = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,62}=https?://[^\s]+$")]


def refreshable(default: Any, **constraints: Any) -> Any:
    """A pydantic field whose value may change without a restart; `constraints` are those of `Field`."""
    return Field(default, json_schema_extra={_REFRESHABLE: True}, **constraints)


Part = TypeVar("Part", bound=BaseModel)


class MissingSettingsError(ChassisError):
    """A part of the chassis is used whose settings the service does not have."""

    code = "settings-missing"


def part_of(settings: ServiceSettings, part: type[Part]) -> Part:
    """`settings` as the part that is mixed into its class; raises MissingSettingsError."""
    if not isinstance(settings, part):
        raise MissingSettingsError(
            f"{type(settings).__name__} has no {part.__name__}",
            hint=f"class {type(settings).__name__}(ServiceSettings, {part.__name__})",
        )
    return settings


def canonical(name: str) -> str:
    """Spring's relaxed binding: case, dots, dashes and underscores do not tell names apart."""
    return name.lower().replace("_", "").replace("-", "").replace(".", "")


class ServiceSettings(BaseModel):
    """What the chassis itself needs; services add their fields in a subclass.

    Durations end in their unit. A field that is not made by `refreshable` is read once, at start.
    """

    # A value must never show in a message: it may be a secret that landed in the wrong field.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    application_name: ServiceName
    profile: Profiles = "default"
    host: str = "0.0.0.0"  # noqa: S104 - a pod is reached from outside its network namespace
    port: int = Field(default=8080, ge=0, le=65535)  # 0: any free port, for tests
    version: str = "0.0.0"
    git_sha: str = "unknown"

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = refreshable("INFO")
    access_log: bool = refreshable(True)

    max_body_bytes: int = Field(default=1_048_576, ge=1, le=104_857_600)
    # The longest that one request may take when its client named no deadline.
    request_timeout_seconds: float = refreshable(30.0, gt=0, le=300)
    # Work that cannot answer within this much of what is left is refused before it starts.
    deadline_margin_seconds: float = refreshable(0.005, ge=0, le=1)

    # After deregistration and before the listening socket closes: two registry fetches of 1 s and some.
    drain_seconds: float = Field(default=3.0, ge=0, le=60)
    # For requests in flight after that; both together stay below terminationGracePeriodSeconds (30).
    stop_timeout_seconds: float = Field(default=20.0, gt=0, le=120)

    issuer_url: Url | None = None
    jwks_url: Url | None = None
    audience: str | None = None
    authorized_parties: tuple[str, ...] = ()
    token_algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384"], ...] = ("RS256",)
    # Clocks of one cluster are kept within milliseconds; this is for the identity provider's.
    token_leeway_seconds: float = Field(default=5.0, ge=0, le=60)

    eureka_urls: tuple[Url, ...] = ()
    # `product-service=http://127.0.0.1:8081`: asked of neither registry nor DNS, where services are plain
    # processes.
    service_addresses: tuple[ServiceAddress, ...] = ()
    # What others reach this instance by; in the cluster the pod's own address (downward API).
    instance_host: str = "127.0.0.1"
    heartbeat_seconds: float = Field(default=10.0, gt=0, le=90)
    registry_fetch_seconds: float = refreshable(1.0, gt=0, le=60)

    otlp_endpoint: Url | None = None
    trace_sample_ratio: float = refreshable(0.1, ge=0, le=1)

    settings_refresh_seconds: float = Field(default=30.0, gt=0, le=3600)

    @classmethod
    def refreshable_fields(cls) -> frozenset[str]:
        """Names of the fields that take a new value without a restart."""
        return frozenset(
            name
            for name, field in cls.model_fields.items()
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(_REFRESHABLE)
        )
