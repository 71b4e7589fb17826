"""Sends journeys by Locust, each when it is due; a program: the plan on standard input, a file as argument.

Locust's own schedulers are closed: a user who waits for an answer sends nothing meanwhile, and a stall of the
shop hides itself. Here a dispatcher starts each shopper at the intended time, whatever the shop does, and
Locust's users, client and events do the rest.
"""

from __future__ import annotations

import locust  # noqa: F401 - first, because its import replaces the sockets of the standard library

# isort: split
import sys
import time
from pathlib import Path
from typing import IO, Any

import gevent
import requests
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue
from locust.env import Environment

from rehearsal.load.journeys.plan import Arrival, JourneyPlan, Login, loads
from rehearsal.load.journeys.records import Arrived, Ended, Record, line
from rehearsal.load.journeys.shoppers import Shopper
from rehearsal.shop.history import History

_LOGIN_TIMEOUT_SECONDS = 15.0
_MARGIN_SECONDS = 20.0  # a token that expires sooner might do so on its way
_WITH_A_CART = ("fill a cart", "buy")


class LoginRefusedError(Exception):
    """The identity provider gives a shopper no token."""


class Generator:
    """A load of journeys under way."""

    def __init__(self, plan: JourneyPlan, file: IO[str], history: History) -> None:
        self.plan = plan
        self.history = history
        self.began = 0.0
        self._file = file
        self._environment = Environment(user_classes=[Shopper])
        self._tokens = _Tokens(plan.login)
        self._free: Queue[str] = Queue()

    def bearer(self, user: str) -> str:
        """Return a token of a user."""
        return self._tokens.bearer(user)

    def record(self, record: Record) -> None:
        """Write a record down."""
        self._file.write(line(record))

    def run(self) -> None:
        """Log everybody in, send them on their ways at their times, and see the last one off."""
        for user in self.plan.login.passwords:
            self._tokens.bearer(user)
            self._free.put(user)
        began_at, self.began = time.time(), time.monotonic()
        spent = time.process_time()
        under_way = []
        for arrival in self.plan.arrivals:
            gevent.sleep(max(0.0, arrival.due - self._now()))
            under_way.append(gevent.spawn(self._send, arrival))
        gevent.joinall(under_way, raise_error=True)
        self.record(Ended(began_at, self._now(), time.process_time() - spent))

    def _now(self) -> float:
        return time.monotonic() - self.began

    def _send(self, arrival: Arrival) -> None:
        self.record(Arrived(arrival.number, arrival.journey, arrival.due, self._now() - arrival.due))
        # Two shoppers with one cart would take each other's goods. All users are busy only where the shop is
        # slow, and so the wait for one is part of what the shopper waits for.
        user = self._free.get() if arrival.journey in _WITH_A_CART else ""

        def give_back() -> None:
            if user:
                self._free.put(user)

        Shopper(self._environment, self, arrival, user, give_back).go()


class _Tokens:
    def __init__(self, login: Login) -> None:
        self._login = login
        self._kept: dict[str, tuple[str, float]] = {}
        self._locks = {user: BoundedSemaphore() for user in login.passwords}

    def bearer(self, user: str) -> str:
        with self._locks[user]:
            token, expires = self._kept.get(user, ("", 0.0))
            if time.monotonic() >= expires:
                token, seconds = self._fetch(user)
                self._kept[user] = token, time.monotonic() + seconds - _MARGIN_SECONDS
            return token

    def _fetch(self, user: str) -> tuple[str, float]:
        form = {
            "grant_type": "password",
            "client_id": self._login.client_id,
            "client_secret": self._login.client_secret,
            "username": user,
            "password": self._login.passwords[user],
            "scope": self._login.scope,
        }
        with requests.Session() as session:
            session.trust_env = False  # no proxy of this machine stands between
            try:
                answer = session.post(self._login.url, data=form, timeout=_LOGIN_TIMEOUT_SECONDS)
                answer.raise_for_status()
                content: dict[str, Any] = answer.json()
                return str(content["access_token"]), float(content["expires_in"])
            except (requests.RequestException, ValueError, KeyError) as error:
                raise LoginRefusedError(f"{self._login.url} gives {user} no token: {error}") from error


def main() -> int:
    """Read the plan, send it; return 0, or 3 when nobody can log in."""
    plan = loads(sys.stdin.buffer.read())
    records, history_file = map(Path, sys.argv[1:])
    # A line is handed to the kernel when it is written: what a killed generator saw is not lost.
    with records.open("w", encoding="utf-8", buffering=1) as file, History(history_file) as history:
        try:
            Generator(plan, file, history).run()
        except LoginRefusedError as error:
            sys.stderr.write(f"{error}\n")
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
