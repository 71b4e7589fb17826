"""A pod as production runs it: a service on the chassis, with its drain, behind uvicorn."""

from __future__ import annotations

from fastapi import APIRouter
from mambogo_chassis.auth import PUBLIC
from mambogo_chassis.service import Service
from mambogo_chassis.settings import ServiceSettings

router = APIRouter()


@router.get("/api/items/{number}", openapi_extra=PUBLIC)
async def read_item(number: int) -> dict[str, int]:
    """An item."""
    return {"number": number}


@router.post("/api/items", openapi_extra=PUBLIC)
async def create_item() -> dict[str, str]:
    """Another item."""
    return {"state": "created"}


if __name__ == "__main__":
    Service.load(ServiceSettings, "item-service").run(title="Items", routers=[router])
