"""A Keycloak realm as tests use it: clients, users, roles and tokens, all with generated credentials."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from mambogo_testkit import realm_keys
from mambogo_testkit.errors import TestkitError

_TIMEOUT_SECONDS = 60.0  # a realm's two RSA keys take seconds on a loaded machine


@dataclass(frozen=True, slots=True)
class Client:
    """A confidential client."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class User:
    """A user who can log in; `subject` is what tokens carry as `sub`."""

    username: str
    subject: str
    password: str = field(repr=False)


class Realm:
    """A realm that belongs to one test."""

    def __init__(self, url: str, name: str, admin: httpx.Client) -> None:
        self.name = name
        self.issuer = f"{url}/realms/{name}"
        self.jwks_url = f"{self.issuer}/protocol/openid-connect/certs"
        self.token_url = f"{self.issuer}/protocol/openid-connect/token"
        self._admin = admin

    def admin(self, method: str, path: str, body: object = None) -> Any:  # whatever JSON Keycloak answers
        """Call Keycloak's admin API below this realm; returns the JSON of the answer, or None."""
        answer = self._admin.request(method, f"/{self.name}{path}", json=body)
        return answer.json() if answer.content else None

    def add_role(self, name: str) -> None:
        """Add a realm role."""
        self.admin("POST", "/roles", {"name": name})

    def add_scope(self, name: str) -> None:
        """Add a client scope that clients made later may request, and that shows in the token's `scope`."""
        scope = {
            "name": name,
            "protocol": "openid-connect",
            "attributes": {"include.in.token.scope": "true"},
        }
        self.admin("POST", "/client-scopes", scope)

    def add_client(
        self,
        client_id: str,
        *,
        audiences: Iterable[str] = (),
        scopes: Iterable[str] = (),
        service: bool = False,
    ) -> Client:
        """Add a confidential client: a service account, or one through which users log in by password.

        `audiences` go into the `aud` of its access tokens, `scopes` are optional: granted when requested.
        """
        client = Client(client_id, secrets.token_urlsafe(24))
        representation = {
            "clientId": client_id,
            "secret": client.secret,
            "publicClient": False,
            "standardFlowEnabled": False,
            "directAccessGrantsEnabled": not service,
            "serviceAccountsEnabled": service,
            "protocolMappers": [_audience(name) for name in audiences],
        }
        self.admin("POST", "/clients", representation)
        self._allow(client_id, set(scopes))
        return client

    def add_user(self, username: str, *, roles: Iterable[str] = ()) -> User:
        """Add a user with these realm roles, which must exist."""
        password = secrets.token_urlsafe(18)
        representation = {
            "username": username,
            "enabled": True,
            # A user whose profile is incomplete cannot log in.
            "email": f"{username}@example.com",
            "emailVerified": True,
            "firstName": username,
            "lastName": "Test",
            "credentials": [{"type": "password", "value": password, "temporary": False}],
        }
        self.admin("POST", "/users", representation)
        subject = self.admin("GET", f"/users?exact=true&username={username}")[0]["id"]
        if found := [self.admin("GET", f"/roles/{role}") for role in roles]:
            self.admin("POST", f"/users/{subject}/role-mappings/realm", found)
        return User(username, subject, password)

    def user_tokens(self, client: Client, user: User, *, scope: str = "openid") -> dict[str, Any]:
        """Log a user in; returns Keycloak's answer with access_token, id_token and refresh_token."""
        return self._tokens(
            client,
            {"grant_type": "password", "username": user.username, "password": user.password, "scope": scope},
        )

    def service_token(self, client: Client, *, scope: str = "") -> str:
        """Return an access token of a service account."""
        # Keycloak refuses an empty scope, which RFC 6749 does not know.
        requested = {"scope": scope} if scope else {}
        return str(self._tokens(client, {"grant_type": "client_credentials", **requested})["access_token"])

    def rotate_keys(self) -> None:
        """Sign with a new RSA key from now on; the old one stays in the key set."""
        realm_id = self.admin("GET", "")["id"]
        priority = 1000 + secrets.randbelow(1_000_000)
        provider = realm_keys.signing_key(f"rotated-{secrets.token_hex(4)}", priority=priority)
        place = {"parentId": realm_id, "providerType": realm_keys.PROVIDER}
        self.admin("POST", "/components", provider | place)

    def _allow(self, client_id: str, scopes: set[str]) -> None:
        if not scopes:
            return
        internal = self.admin("GET", f"/clients?clientId={client_id}")[0]["id"]
        known = {scope["name"]: scope["id"] for scope in self.admin("GET", "/client-scopes")}
        for scope in scopes:
            self.admin("PUT", f"/clients/{internal}/optional-client-scopes/{known[scope]}")

    def _tokens(self, client: Client, form: dict[str, str]) -> dict[str, Any]:
        answer = httpx.post(
            self.token_url, data=form, auth=(client.client_id, client.secret), timeout=_TIMEOUT_SECONDS
        )
        _refuse(answer)
        tokens: dict[str, Any] = answer.json()
        return tokens


@contextlib.contextmanager
def admin_client(url: str, user: str, password: str) -> Iterator[httpx.Client]:
    """Open a client of the admin API of all realms; each answer that is an error raises TestkitError."""
    with httpx.Client(
        base_url=f"{url}/admin/realms",
        auth=_AdminToken(url, user, password),
        timeout=_TIMEOUT_SECONDS,
        event_hooks={"response": [_refuse]},
    ) as client:
        yield client


class _AdminToken(httpx.Auth):
    """Logs in at the first call, and again before the token runs out (60 s).

    A 401 is not waited for: the client's hook has made an error of it before this flow would see it.
    """

    requires_response_body = True

    def __init__(self, url: str, user: str, password: str) -> None:
        self._form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": user,
            "password": password,
        }
        self._url = f"{url}/realms/master/protocol/openid-connect/token"
        self._token = ""
        self._renew_at = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        asked_at = time.monotonic()
        if not self._token or asked_at >= self._renew_at:
            answer = (yield httpx.Request("POST", self._url, data=self._form)).json()
            self._token = answer["access_token"]
            # Half of its life: the call itself takes time, too.
            self._renew_at = asked_at + answer["expires_in"] / 2
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _audience(name: str) -> dict[str, object]:
    return {
        "name": f"audience-{name}",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": name, "access.token.claim": "true", "id.token.claim": "false"},
    }


def _refuse(answer: httpx.Response) -> None:
    if answer.is_error:
        answer.read()
        request = f"{answer.request.method} {answer.request.url.path}"
        raise TestkitError(
            "keycloak",
            f"{request} was answered {answer.status_code}: {answer.text}",
            "Keycloak's admin REST API documents the request",
        )
