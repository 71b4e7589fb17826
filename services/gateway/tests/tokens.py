"""A signing key of a test's own, its JWKS served on loopback, and tokens like Keycloak's."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "gateway"
CLIENT = "web"


class Issuer:
    """Signs tokens and serves the key that checks them."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        jwk: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        keys = json.dumps({"keys": [{**jwk, "kid": "k1", "alg": "RS256", "use": "sig"}]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(keys)))
                self.end_headers()
                self.wfile.write(keys)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def token(self, subject: str, **claims: Any) -> str:
        """An access token, with as many claims as Keycloak's have."""
        now = int(time.time())
        payload = {
            "iss": self.url,
            "aud": AUDIENCE,
            "azp": CLIENT,
            "sub": subject,
            "typ": "Bearer",
            "iat": now,
            "exp": now + 3600,
            "jti": "0f0e0d0c-0b0a-0908-0706-050403020100",
            "realm_access": {"roles": ["customer", "offline_access", "uma_authorization"]},
            "scope": "profile email",
            "preferred_username": subject,
            **claims,
        }
        return jwt.encode(payload, self._key, algorithm="RS256", headers={"kid": "k1"})

    def environment(self) -> dict[str, str]:
        """What a service needs to trust this issuer."""
        return {
            "ISSUER_URL": self.url,
            "JWKS_URL": f"{self.url}/certs",
            "AUDIENCE": AUDIENCE,
            "AUTHORIZED_PARTIES": CLIENT,
        }

    def settings(self) -> dict[str, Any]:
        """The same as a service's settings."""
        return {
            "issuer_url": self.url,
            "jwks_url": f"{self.url}/certs",
            "audience": AUDIENCE,
            "authorized_parties": (CLIENT,),
        }

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
