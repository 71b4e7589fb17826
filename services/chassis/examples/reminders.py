"""A complete service in one file: seven operations, a token on each but one, and a store in memory.

It is what the contract session fuzzes and what the README's thirty lines grow into. It keeps nothing: a real
service has a database, and compares versions inside its transaction.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from mambogo_chassis.auth import PUBLIC, Principal, ensure_owner, requires
from mambogo_chassis.http import etags, pagination
from mambogo_chassis.http.openapi import LOCATION, header, with_headers
from mambogo_chassis.http.problems import conflict, errors, not_found
from mambogo_chassis.http.types import Body, PositiveInt, StrictBool, Text, View
from mambogo_chassis.service import Service
from mambogo_chassis.settings import ServiceSettings, refreshable

MAX_REMINDERS = 100_000  # a store in memory has to end somewhere


class Settings(ServiceSettings):
    """What this service needs besides the chassis' settings."""

    greeting: str = refreshable("Nothing is forgotten.")


class ReminderBody(Body):
    """What a client sends."""

    title: Annotated[Text, Field(min_length=1)]
    priority: PositiveInt = 1
    urgent: StrictBool = False


class ReminderView(View):
    """What a client gets."""

    id: UUID
    title: str
    priority: int
    urgent: bool
    state: Literal["open", "done"]
    version: int


class About(View):
    """What the public operation says."""

    greeting: str


class Store:
    """Reminders by id, in the order of their creation."""

    def __init__(self) -> None:
        self._rows: dict[UUID, tuple[str, ReminderView]] = {}

    def find(self, principal: Principal, reminder_id: UUID) -> ReminderView:
        """The caller's reminder; 404 for anybody else's."""
        row = self._rows.get(reminder_id)
        if row is None:
            raise not_found("reminder")
        owner, reminder = row
        ensure_owner(principal, owner, "reminder")
        return reminder

    def put(self, principal: Principal, reminder: ReminderView) -> ReminderView:
        """Insert or replace."""
        if reminder.id not in self._rows and len(self._rows) >= MAX_REMINDERS:
            raise conflict("store-full", "No more reminders fit.")
        self._rows[reminder.id] = (principal.subject, reminder)
        return reminder

    def remove(self, reminder_id: UUID) -> None:
        """Forget it."""
        self._rows.pop(reminder_id, None)

    def page(self, principal: Principal, after: str, count: int) -> list[ReminderView]:
        """The caller's reminders by id, from the one after `after`."""
        own = [
            row for owner, row in self._rows.values() if owner == principal.subject and str(row.id) > after
        ]
        return sorted(own, key=lambda row: str(row.id))[:count]


store = Store()
router = APIRouter(prefix="/api/reminders", tags=["reminders"])
# Not below /api/reminders/: `{reminder_id}` would match it, and with it methods that it does not have.
public = APIRouter(prefix="/api/about", tags=["about"])
Reader = Annotated[Principal, requires("reminders:read")]
Writer = Annotated[Principal, requires("reminders:write")]
ETAG = header("ETag", "The version of the reminder.")


@router.get("", operation_id="listReminders", responses=errors(404))
async def list_reminders(
    query: Annotated[pagination.PageQuery, Query()], principal: Reader
) -> pagination.Page[ReminderView]:
    """List the caller's reminders."""
    after = pagination.decode_cursor(query.cursor, str) or ""
    items, more = pagination.page_of(store.page(principal, after, query.limit + 1), query.limit)
    cursor = pagination.encode_cursor(str(items[-1].id)) if more else None
    return pagination.Page[ReminderView](items=items, next_cursor=cursor)


@router.post(
    "",
    status_code=201,
    operation_id="createReminder",
    responses={201: with_headers(LOCATION, ETAG), **errors(409)},
)
async def create_reminder(body: ReminderBody, principal: Writer, response: Response) -> ReminderView:
    """Create a reminder."""
    created = ReminderView(id=uuid4(), state="open", version=1, **body.model_dump())
    response.headers["Location"] = f"/api/reminders/{created.id}"
    response.headers["ETag"] = etags.etag(created.version)
    return store.put(principal, created)


@public.get("", operation_id="about", openapi_extra=PUBLIC)
async def about(request: Request) -> About:
    """Say what this is."""
    service: Service[Settings] = request.app.state.service
    return About(greeting=service.settings.current.greeting)


@router.get("/{reminder_id}", operation_id="getReminder", responses={200: with_headers(ETAG), **errors(404)})
async def get_reminder(reminder_id: UUID, principal: Reader, response: Response) -> ReminderView:
    """Get one reminder."""
    found = store.find(principal, reminder_id)
    response.headers["ETag"] = etags.etag(found.version)
    return found


@router.put(
    "/{reminder_id}",
    operation_id="replaceReminder",
    responses={200: with_headers(ETAG), **errors(404, 412)},
)
async def replace_reminder(
    reminder_id: UUID,
    body: ReminderBody,
    principal: Writer,
    response: Response,
    if_match: etags.IfMatch,
) -> ReminderView:
    """Replace a reminder that has not changed since it was read."""
    found = store.find(principal, reminder_id)
    etags.require_match(if_match, found.version)
    changed = found.model_copy(update={**body.model_dump(), "version": found.version + 1})
    response.headers["ETag"] = etags.etag(changed.version)
    return store.put(principal, changed)


@router.delete("/{reminder_id}", status_code=204, operation_id="deleteReminder", responses=errors(404))
async def delete_reminder(reminder_id: UUID, principal: Writer) -> None:
    """Delete a reminder."""
    store.remove(store.find(principal, reminder_id).id)


@router.post("/{reminder_id}/completion", operation_id="completeReminder", responses=errors(404, 409))
async def complete_reminder(reminder_id: UUID, principal: Writer) -> ReminderView:
    """Complete a reminder, once."""
    found = store.find(principal, reminder_id)
    if found.state == "done":
        raise conflict("already-done", "The reminder is done already.")
    return store.put(principal, found.model_copy(update={"state": "done", "version": found.version + 1}))


if __name__ == "__main__":
    Service.load(Settings, "reminder-service").run(title="Reminders", routers=[router, public])
