"""The gateway's own HTTP interface: health, metrics, what it is, and which routes are in force.

The paths are Spring's, because production's probes and scrapes name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    generate_latest,
)

from mambogo_gateway.gateway import Gateway

_HEALTH: Final = "/actuator/health"


def make_endpoints(gateway: Gateway, *, info: Mapping[str, str]) -> FastAPI:
    """The application for `/actuator/**`."""
    registry = CollectorRegistry()
    registry.register(gateway.metrics)
    registry.register(PROCESS_COLLECTOR)
    registry.register(GC_COLLECTOR)
    app = FastAPI(title="Mambogo gateway", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(f"{_HEALTH}/liveness")
    async def liveness() -> dict[str, str]:
        """The process runs its event loop; no dependency counts."""
        return {"status": "UP"}

    @app.get(f"{_HEALTH}/readiness")
    @app.get(_HEALTH)
    async def readiness() -> JSONResponse:
        """Whether new connections should come here."""
        up = gateway.ready and not gateway.draining
        return JSONResponse({"status": "UP" if up else "OUT_OF_SERVICE"}, status_code=200 if up else 503)

    @app.get("/actuator/prometheus")
    async def prometheus() -> Response:
        """All metrics of this process."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/actuator/info")
    async def information() -> dict[str, str]:
        """Version and origin of what runs."""
        return dict(info)

    @app.get("/actuator/gateway/routes")
    async def routes() -> list[dict[str, object]]:
        """The routes in force, with the pods behind them."""
        return [
            {
                "id": route.id,
                "service": route.service,
                "pods": sorted(pod.name for pod in gateway.upstreams.get(route.service).pods.values()),
            }
            for route in gateway.table.routes
        ]

    return app
