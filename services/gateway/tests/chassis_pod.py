"""A pod of a service on the chassis, as the shop's are: it registers itself and checks tokens again."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter
from mambogo_chassis.auth import PUBLIC, Principal, requires
from mambogo_chassis.http.types import View
from mambogo_chassis.service import Service
from mambogo_chassis.settings import ServiceSettings


class Caller(View):
    """Who asks, as this pod has checked for itself."""

    subject: str


class Nothing(View):
    """An answer to anybody."""


router = APIRouter(prefix="/api")


@router.get("/items/{item}")
async def who(item: int, principal: Annotated[Principal, requires()]) -> Caller:
    """Say for whom the pod would act."""
    return Caller(subject=principal.subject)


@router.get("/open/{item}", openapi_extra=PUBLIC)
async def anybody(item: int) -> Nothing:
    """Answer without a token."""
    return Nothing()


if __name__ == "__main__":
    Service.load(ServiceSettings, os.environ["SERVICE_NAME"]).run(title="Pod", routers=[router])
