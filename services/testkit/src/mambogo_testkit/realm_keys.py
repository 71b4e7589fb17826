"""The keys that a realm is made with: the kinds that Keycloak would make itself, the RSA keys made here.

Keycloak's Java virtual machine has its first compiler only; two RSA keys take it 5 s of CPU, and OpenSSL a
tenth of that. How keys come to be is not what anybody tests with a realm; that they are used is.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PROVIDER: Final = "org.keycloak.keys.KeyProvider"
_DEFAULT_PRIORITY: Final = 100


def components() -> dict[str, list[dict[str, Any]]]:
    """The key providers of a new realm, as its representation has them."""
    providers = [
        signing_key("rsa", priority=_DEFAULT_PRIORITY),
        _provider("rsa-enc", "rsa-enc", algorithm="RSA-OAEP", privateKey=_encryption_key()),
        _provider("hmac", "hmac-generated", algorithm="HS512"),
        _provider("aes", "aes-generated"),
    ]
    return {PROVIDER: providers}


def signing_key(name: str, *, priority: int) -> dict[str, Any]:
    """A provider of a new RSA key; that of the highest priority signs."""
    return _provider(name, "rsa", priority=priority, algorithm="RS256", privateKey=_new_key())


def _provider(name: str, kind: str, *, priority: int = _DEFAULT_PRIORITY, **config: str) -> dict[str, Any]:
    values = {"priority": str(priority), **config}
    return {"name": name, "providerId": kind, "config": {key: [value] for key, value in values.items()}}


@cache
def _encryption_key() -> str:
    # One per process: nothing is encrypted with it, it is only to be seen beside the others.
    return _new_key()


def _new_key() -> str:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
