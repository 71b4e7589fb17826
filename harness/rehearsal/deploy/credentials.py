"""The credentials of the stack: made once, kept in the state folder, put into Secrets.

They never pass through Tilt, whose snapshot shows every manifest, nor through a log. Which Secret holds what
is decided here; production's secret store fills the same ones.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol

from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.manifests import PRODUCTION, Manifest
from rehearsal.deploy.monitoring import MONITORING
from rehearsal.deploy.private_files import write_private

FILE_NAME = "credentials.json"
MANAGED = "mambogo-managed"
_BYTES = 24  # 192 bits; URL-safe, because a password becomes a part of redis://


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Everything that is secret; docs/reference/stack.md says what each opens."""

    postgres_password: str
    orders_password: str
    inventory_password: str
    payment_password: str
    product_password: str
    keycloak_password: str
    monitoring_password: str
    redis_password: str
    keycloak_admin_password: str
    harness_client_secret: str
    shopper_password: str
    shopkeeper_password: str
    provider_api_key: str
    provider_webhook_secret: str
    purge_key: str

    def __repr__(self) -> str:
        return "Credentials(...)"


class Pair(Protocol):
    """A certificate and its key, as PEM."""

    @property
    def certificate(self) -> str:
        """The certificate."""

    @property
    def key(self) -> str:
        """Its key."""


@dataclass(frozen=True, slots=True)
class _NoPair:
    certificate: str = ""
    key: str = ""


def keep(folder: Path) -> Credentials:
    """Return the credentials in `folder`; what is not there yet is made and written.

    Raises ConfigurationError when the file is damaged: making others would lock everybody out of the data.
    """
    path = folder / FILE_NAME
    known = _read(path)
    names = [field.name for field in fields(Credentials)]
    values = {name: known.get(name) or secrets.token_urlsafe(_BYTES) for name in names}
    made = Credentials(**values)
    if values != known:
        write_private(path, json.dumps(asdict(made), indent=2))
    return made


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _damaged(path, "it is no object of texts")
    return found


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        "CREDENTIALS_DAMAGED",
        f"{path} cannot be used: {why}",
        hint="Restore it, or remove it together with the cluster (`rehearsal down`), whose data it opens.",
    )


def secret_names() -> frozenset[tuple[str, str]]:
    """Return namespace and name of every Secret that is made, without any value."""
    nothing = Credentials(*("" for _ in fields(Credentials)))
    made = (one["metadata"] for one in secret_manifests(nothing, _NoPair()))
    return frozenset((one["namespace"], one["name"]) for one in made)


def secret_manifests(of: Credentials, edge: Pair) -> list[Manifest]:
    """Return the Secrets that hold the credentials, and the edge's certificate."""
    roles = {
        "orders": of.orders_password,
        "inventory": of.inventory_password,
        "payment": of.payment_password,
        "product": of.product_password,
    }
    others = {"keycloak": of.keycloak_password, "monitoring": of.monitoring_password}
    databases = [
        _secret(PRODUCTION, f"{role}-database", {"username": role, "password": password})
        for role, password in roles.items()
    ]
    provider = {"api-key": of.provider_api_key, "webhook-secret": of.provider_webhook_secret}
    return [
        *databases,
        _secret(PRODUCTION, "redis-credentials", {"password": of.redis_password}),
        _secret(PRODUCTION, "payment-provider", provider),
        _secret(MANAGED, "postgres-superuser", {"password": of.postgres_password}),
        _secret(MANAGED, "postgres-roles", roles | others),
        _secret(MANAGED, "redis-configuration", {"password.conf": f"requirepass {of.redis_password}\n"}),
        _secret(
            MANAGED,
            "keycloak",
            {
                "database-password": of.keycloak_password,
                "admin-password": of.keycloak_admin_password,
                "harness-client-secret": of.harness_client_secret,
                "shopper-password": of.shopper_password,
                "shopkeeper-password": of.shopkeeper_password,
            },
        ),
        _secret(MANAGED, "payment-sandbox", provider),
        _secret(
            MONITORING,
            "exporters",
            {"postgres-password": of.monitoring_password, "redis-password": of.redis_password},
        ),
        _secret(MANAGED, "edge-certificate", {"tls.crt": edge.certificate, "tls.key": edge.key}),
        # A line of nginx's map; as a pattern, because texts in a map are compared without regard to case.
        _secret(MANAGED, "edge-purge-keys", {"purge-keys": f'"~^Bearer {of.purge_key}$" 1;\n'}),
    ]


def _secret(namespace: str, name: str, values: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {key: b64encode(value.encode()).decode() for key, value in values.items()},
    }
