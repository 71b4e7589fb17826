"""The HTTP interface. Logging, metrics and authentication are the chassis's business, not this service's."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def create_app(*, pod: str, version: str, build: str) -> Starlette:
    """Return the application; its answer is fixed at start and tells one process from another."""
    answer = {"service": "echo", "pod": pod, "version": version, "build": build}

    async def echo(request: Request) -> Response:
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def up(request: Request) -> Response:
        return JSONResponse({"status": "UP"})

    return Starlette(
        routes=[
            Route("/", echo),
            Route("/actuator/health/liveness", up),
            Route("/actuator/health/readiness", up),
        ]
    )
