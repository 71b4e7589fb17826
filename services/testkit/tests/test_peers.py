"""Peers and the issuer: real servers that answer as they are told."""

from __future__ import annotations

import httpx
import jwt

from mambogo_testkit.issuing import AUDIENCE, issuer
from mambogo_testkit.peers import PeerReply, peer


def test_a_peer_answers_as_it_is_told_and_remembers_what_it_was_asked() -> None:
    with peer(lambda request: PeerReply(418, {"asked": request.path}, {"X-Kind": "pot"})) as server:
        answer = httpx.put(f"{server.url}/tea?milk=no", json={"cups": 2})
    assert (answer.status_code, answer.json(), answer.headers["x-kind"]) == (418, {"asked": "/tea"}, "pot")
    request = server.requests[0]
    assert (request.method, request.query, request.json()) == ("PUT", {"milk": ["no"]}, {"cups": 2})


def test_an_issuers_tokens_are_good_for_its_published_key() -> None:
    with issuer() as made:
        key = jwt.PyJWKSet(httpx.get(made.jwks_url).json()["keys"]).keys[0]
        claims = jwt.decode(made.token("alice", "orders:read"), key, ["RS256"], audience=AUDIENCE)
    assert (claims["sub"], claims["scope"]) == ("alice", "orders:read")
