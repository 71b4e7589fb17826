"""Builds the FastAPI application of a service with everything that all services have in common.

What it returns is the inner application; `edge.Edge` goes around it. Starting and stopping is `service`'s.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import Lifespan

from mambogo_chassis.auth.authorizing import check_guarded
from mambogo_chassis.auth.tokens import TokenVerifier
from mambogo_chassis.errors import ChassisError
from mambogo_chassis.http import openapi, problems


class RoutingError(ChassisError):
    """A router cannot be taken as it is."""

    code = "routing"


def create_app(
    *,
    title: str,
    version: str,
    routers: Iterable[APIRouter],
    verifier: TokenVerifier | None = None,
    description: str = "",
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """An application that answers every error as a problem and documents it.

    Raises UnguardedOperationError for an operation without `requires(...)` or `PUBLIC`.
    """
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        lifespan=lifespan,
        # A redirect would be an answer that no operation documents.
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        # The edge measures and traces; FastAPI's own telemetry would do it twice.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.verifier = verifier
    for router in routers:
        _take(app, router)
    problems.install(app)
    openapi.install(app)
    check_guarded(app)
    return app


def operations_of(app: FastAPI) -> list[tuple[str, str]]:
    """(method, route template) of every operation, for the request metrics."""
    return [
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


def _take(app: FastAPI, router: APIRouter) -> None:
    # Taken flat, not by include_router: that matches each request twice and hides the route's full template
    # from whoever wraps the application. A router's own prefix and dependencies are in its routes already.
    for route in router.routes:
        if not isinstance(route, APIRoute):
            raise RoutingError(
                f"a router holds a {type(route).__name__}", hint="hand routers over one by one, not nested"
            )
        app.router.routes.append(route)
