"""Who calls, and what they may do: access tokens of Keycloak, scopes, roles and ownership.

Fails closed: without keys there is no answer but 503, and a service does not start with an operation that
neither requires a token nor says that it is public.
"""

from mambogo_chassis.auth.authorizing import PUBLIC, check_guarded, ensure_owner, requires
from mambogo_chassis.auth.keys import KeyCache, KeysUnavailableError
from mambogo_chassis.auth.tokens import InvalidTokenError, Principal, TokenPolicy, TokenVerifier

__all__ = [
    "PUBLIC",
    "InvalidTokenError",
    "KeyCache",
    "KeysUnavailableError",
    "Principal",
    "TokenPolicy",
    "TokenVerifier",
    "check_guarded",
    "ensure_owner",
    "requires",
]
