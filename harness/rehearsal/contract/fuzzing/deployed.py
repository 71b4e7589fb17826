"""The services of the deployed shop, fuzzed one after the other: as whom, on which way, with what is there.

The way is directly, or through edge and gateway: there within the rate that the gateway grants each user, so
that its limits stay on and let enough through. Shoppers of the fuzzer's own place its orders: what the audit
of a run judges is others'.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rehearsal.contract.fuzzing.judging import Run, Subject, evidence, more_to_reach, unseen
from rehearsal.contract.fuzzing.reading import read
from rehearsal.contract.fuzzing.running import EVENTS, Fuzz, User, fuzz
from rehearsal.contract.openapi import operations
from rehearsal.core.checks import Check
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Emit
from rehearsal.shop.accounts import OF_FUZZING, SHOPPER_SCOPES
from rehearsal.shop.answers import Answer, Kind
from rehearsal.shop.client import ADMINISTRATOR, Line, Shop
from rehearsal.shop.stocking import stock_one, stock_up

# Examples for each operation; the cases at its bounds come besides.
DIRECTLY = ("-n", "10")
_SCENARIOS = 20  # follow nine of a dozen links; what a seed leaves out, the next one mostly follows
# Every operation at its bounds; what else it does, and where its links lead, is the service's own. Below the
# 50 requests a second that a user is granted.
BY_GATEWAY = ("--phases", "examples,coverage", "-n", "10", "--rate-limit", "40/s")
# NGINX, which is the edge, refuses the one itself, without saying which methods there are; the gateway does
# not know the other, and says so by 501.
REFUSED_ON_THE_WAY = ("TRACE", "QUERY")
# The cases at the bounds were tried. Links by `Location` are known once something was made.
_MORE = ("--phases", "fuzzing,stateful")
_FORBIDDEN = ("--phases", "fuzzing", "--mode", "positive", "-n", "10")
INSIDE_ONLY = ("/api/quotes",)  # has no route (services/README.md, "Operations")
_ALICE, _BOB = OF_FUZZING
_PRODUCTS = 3
_UNITS = 1000  # the most that a line may ask for: a few orders are confirmed, then there is nothing left
_PRECIOUS_MINOR = 999_999_999  # a thousand of it cost a little less than 10^12
# Of a run; it takes 10 to 20 s. Tokens live for 300 s.
_LIMIT_SECONDS = 120.0
_MORE_SEEDS = 2  # that may be tried for what was not reached yet


class FuzzedShop(Shop, Protocol):
    """A shop of which payments can be asked for, too."""

    async def payments_of(self, user: str, order_id: str) -> Answer:
        """Get the payments of an order."""


@dataclass(frozen=True, slots=True)
class Part:
    """A service, and as whom it is fuzzed: accounts by the names in its configuration.

    The first of them has every right that there is; what the others have none to must not succeed.
    """

    service: str
    accounts: Mapping[str, str]
    known: tuple[str, ...] = ()  # parameters that take ids of what there is

    @property
    def config(self) -> Path:
        """Its configuration, below the checkout's root."""
        return Path("services") / self.service.removesuffix("-service") / "contract" / "schemathesis.toml"


# The longest first; and order-service, which scales up for it, is back sooner for what drives it next.
PARTS = (
    Part("order-service", {"alice": _ALICE, "bob": _BOB}, ("product_id",)),
    Part("product-service", {"administrator": ADMINISTRATOR, "shopper": _ALICE}),
    Part("cart-service", {"alice": _ALICE, "bob": _BOB}, ("product_id",)),
    Part("inventory-service", {"administrator": ADMINISTRATOR, "shopper": _ALICE}),
    # Refunds are an administrator's, of payments of their own as of others'.
    Part("payment-service", {"alice": ADMINISTRATOR, "bob": _BOB}, ("payment_id",)),
)


@dataclass(frozen=True, slots=True)
class Way:
    """How services are reached."""

    name: str  # "directly"
    open: Callable[[str, Path], AbstractContextManager[str]]  # the address of a service; the file is its log
    arguments: tuple[str, ...]  # of schemathesis
    hidden: tuple[str, ...] = ()  # paths that this way does not lead to
    refused: tuple[str, ...] = ()  # methods that never get to a service
    as_all: bool = True  # as those who lack rights, too: what they may is for the service to say
    every_link: bool = True  # one more seed is tried while a link was not followed; else while most were not


@dataclass(frozen=True, slots=True)
class Target:
    """One service on one way, with all that its runs need."""

    part: Part
    way: Way
    document: Mapping[str, Any]
    document_file: Path
    config: Path
    seed: int
    tokens: Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]  # fresh ones, by account
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What it is called in what is found."""
        return f"{self.part.service} {self.way.name}"


async def judge_target(target: Target, folder: Path) -> list[Check]:
    """Fuzz, and return what was found; files in `folder` that are named after the target show it."""
    name = f"fuzz-{target.part.service}-{target.way.name.replace(' ', '-')}"
    runs: list[Run] = []
    try:
        with target.way.open(target.part.service, folder / f"{name}.way.txt") as url:
            async for one in _runs(target, url, folder / name):
                runs.append(one)
    except EnvironmentNotReadyError as error:
        return list(unseen(target.name, error.message))
    file = folder / f"{name}.json"
    file.write_text(evidence(runs), encoding="utf-8")
    subject = Subject(
        target.part.service,
        target.way.name,
        f"{folder.name}/{file.name}",
        f"rehearsal e2e --stages contract --seed {target.seed}",
    )
    return list(subject.judge(runs))


async def _runs(target: Target, url: str, folder: Path) -> AsyncIterator[Run]:
    """Run as whoever has every right, with more seeds while something was not reached; then as the others."""
    first, *others = await _users(target)
    runs: list[Run] = []
    for more in range(1 + _MORE_SEEDS):
        runs.append(await _run(target, url, folder, first.name, target.seed + more, _MORE if runs else ()))
        yield runs[-1]
        if not more_to_reach([one.seen for one in runs], every_link=target.way.every_link):
            break
    for user in others:
        if user.forbidden and target.way.as_all:
            # What this user may do, others have shown.
            wanted = [word for name in user.forbidden for word in ("--include-name", name)]
            yield await _run(target, url, folder, user.name, target.seed, (*_FORBIDDEN, *wanted))


async def _run(target: Target, url: str, folder: Path, name: str, seed: int, arguments: Sequence[str]) -> Run:
    users = await _users(target)
    (user,) = (one for one in users if one.name == name)
    hidden = [word for path in target.way.hidden for word in ("--exclude-path", path)]
    one = Fuzz(
        document=str(target.document_file.resolve()),
        url=url,
        config=target.config,
        users=users,
        user=user,
        seed=seed,
        limit_seconds=_LIMIT_SECONDS,
        scenarios=_SCENARIOS,
        arguments=(*target.way.arguments, *hidden, *arguments),
        environment={**target.environment, "REFUSED_ON_THE_WAY": ",".join(target.way.refused)},
        known=target.known,
    )
    place = folder / f"{name}-{seed}"
    seen = read(place, await fuzz(one, place))
    if not seen.failures and not seen.unfinished:
        (place / EVENTS).unlink(missing_ok=True)  # megabytes that show nothing
    return Run(user, seed, seen)


async def _users(target: Target) -> tuple[User, ...]:
    tokens = await target.tokens(list(dict.fromkeys(target.part.accounts.values())))
    return tuple(
        User(name, tokens[account], () if account == ADMINISTRATOR else forbidden(target.document))
        for name, account in target.part.accounts.items()
    )


def forbidden(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the operations that need more than a shopper's token."""
    return tuple(
        one.name
        for one in operations(document).values()
        if not any(
            all(scopes <= SHOPPER_SCOPES for scopes in alternative.values()) for alternative in one.security
        )
    )


async def prepare(
    shop: FuzzedShop, ways: int, seconds: float, emit: Emit
) -> list[Mapping[str, Sequence[str]]]:
    """Make what requests need to succeed; return its ids by parameter, for each way its own.

    Raises EnvironmentNotReadyError when the shop makes no products or takes no money.
    """
    found: list[Mapping[str, Sequence[str]]] = []
    for _ in range(ways):
        products = await stock_up(shop, "fuzz", products=_PRODUCTS, units=_UNITS, emit=emit)
        # An order of it costs so much that many refunds of any drawn amount fit in it.
        precious = await stock_one(shop, "fuzz", "fuzz precious", _PRECIOUS_MINOR, _UNITS, emit)
        payment = await _payment(shop, precious, seconds)
        found.append({"product_id": products, "payment_id": (payment,)})
    return found


async def _payment(shop: FuzzedShop, product_id: str, seconds: float) -> str:
    """Return a captured payment of the administrator's."""
    placed = await shop.place_order(ADMINISTRATOR, [Line(product_id, _UNITS)], key=f"fuzz-{product_id}")
    order_id = str(placed.body.get("order_id", ""))
    until = asyncio.get_running_loop().time() + seconds
    last = placed
    while placed.kind is Kind.OK and asyncio.get_running_loop().time() < until:
        last = await shop.payments_of(ADMINISTRATOR, order_id)
        captured = [one for one in last.body.get("items", ()) if one.get("state") == "captured"]
        if captured:
            return str(captured[0]["payment_id"])
        await asyncio.sleep(0.2)
    raise EnvironmentNotReadyError(
        "NO_PAYMENT",
        f"no payment came of an order: {last}",
        hint="`kubectl logs -n mambogo-production deployment/payment-service` says why.",
    )
