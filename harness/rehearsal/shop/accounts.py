"""The accounts that the stack makes for the harness: shoppers, a shopkeeper, and the client for both.

Their secrets are made when the cluster is brought up and kept in the state folder. Each stage has shoppers of
its own, so that none finds another's orders in its lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.shop.client import ADMINISTRATOR
from rehearsal.shop.tokens import Account, Realm

CREDENTIALS = "credentials.json"
_CLIENT = "rehearsal"
_SHOPPER_SCOPE = "openid"
_SHOPKEEPER_SCOPE = "openid products:write inventory:write payments:write"


def shoppers(first: int, last: int) -> tuple[str, ...]:
    """Return the user names of a range of shoppers; there are twenty, numbered from 1."""
    return tuple(f"shopper-{number:02d}" for number in range(first, last + 1))


# Of a shopper's token (services/README.md); an administrator's has every scope.
SHOPPER_SCOPES = frozenset(("carts:write", "orders:read", "orders:write", "payments:read", "inventory:read"))
OF_CONTRACT = shoppers(1, 2)
OF_FUZZING = shoppers(3, 4)  # leave orders behind that nobody follows
OF_WEIGHING = OF_FUZZING[1]  # nobody follows its orders either, but who places them
OF_LOAD = shoppers(5, 12)
OF_CHAOS = shoppers(13, 20)


def read_credentials(state: Path) -> Mapping[str, str]:
    """Return the stack's secrets. Raises EnvironmentNotReadyError when there are none."""
    path = state / CREDENTIALS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in content.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise EnvironmentNotReadyError(
            "CREDENTIALS_MISSING",
            f"{path} cannot be read: {error}",
            hint="`rehearsal up --ci` makes the credentials of the stack.",
        ) from error


def realm(token_url: str, credentials: Mapping[str, str]) -> Realm:
    """Return where the harness gets tokens."""
    return Realm(token_url, _CLIENT, _secret(credentials, "harness_client_secret"))


def accounts(credentials: Mapping[str, str]) -> Mapping[str, Account]:
    """Return every account by the name that the harness calls it."""
    password = _secret(credentials, "shopper_password")
    every = {name: Account(name, password, _SHOPPER_SCOPE) for name in shoppers(1, 20)}
    keeper = _secret(credentials, "shopkeeper_password")
    return {**every, ADMINISTRATOR: Account("shopkeeper", keeper, _SHOPKEEPER_SCOPE)}


def _secret(credentials: Mapping[str, str], name: str) -> str:
    if name not in credentials:
        raise EnvironmentNotReadyError(
            "CREDENTIAL_MISSING",
            f"{CREDENTIALS} has no {name}",
            hint="`rehearsal up --ci` completes the credentials of the stack.",
        )
    return credentials[name]
