"""The obvious Python gateway: FastAPI in front, httpx behind, a token checked once and then remembered."""

from __future__ import annotations

import os
import time

import httpx
import jwt
from fastapi import FastAPI, HTTPException, Request, Response

_UPSTREAM = f"http://127.0.0.1:{os.environ['UPSTREAM_PORT']}"
_keys = jwt.PyJWKClient(os.environ["JWKS_URL"])
_recognised: dict[str, float] = {}
_client = httpx.AsyncClient(base_url=_UPSTREAM, limits=httpx.Limits(max_connections=256))
app = FastAPI()


def _check(authorization: str) -> None:
    if _recognised.get(authorization, 0.0) > time.time():
        return
    token = authorization.removeprefix("Bearer ")
    key = _keys.get_signing_key_from_jwt(token)
    try:
        claims = jwt.decode(
            token, key, ["RS256"], audience=os.environ["AUDIENCE"], issuer=os.environ["ISSUER_URL"]
        )
    except jwt.PyJWTError as error:
        raise HTTPException(401) from error
    _recognised[authorization] = float(claims["exp"])


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
async def proxy(path: str, request: Request) -> Response:
    """Pass a request on."""
    _check(request.headers.get("authorization", ""))
    fields = {name: value for name, value in request.headers.items() if name not in ("host", "connection")}
    answer = await _client.request(request.method, f"/{path}", content=await request.body(), headers=fields)
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
