"""Defects of the services' code: patches, of which each family has some, in services to be drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from rehearsal.detection.copying import apply
from rehearsal.detection.model import Cause, Family, Planted

AREA: Final = "services"
FUZZ: Final = "contract.fuzz"  # what a fuzzer names: the operation
PATCHES: Final = Path(__file__).parents[1] / "planted"
# Those that the audit of orders plants, too.
_AUDITED: Final = Path("services", "audit", "planted")
_PLACE: Final = "POST /api/orders"
_GET: Final = "GET /api/orders/{order_id}"
_LIST: Final = "GET /api/orders"
_CANCEL: Final = "POST /api/orders/{order_id}/cancellation"
_ADJUST: Final = "POST /api/inventory/{product_id}/adjustments"


@dataclass(frozen=True, slots=True)
class Variant:
    """A patch, and the operation of the service that it breaks."""

    patch: str
    service: str
    operation: str

    @property
    def path(self) -> Path:
        """Where the patch is."""
        return PATCHES / f"{self.patch}.patch"

    def plant(self, root: Path, random: Random) -> Planted:
        """Apply it to a copy. Raises PlantError when it does not apply any more."""
        apply(root, self.path)
        cause = Cause(frozenset({FUZZ}), (f"{self.service}-service", self.operation))
        return Planted(f"{self.service}-service {self.operation}", cause)


KINDS: Final[tuple[tuple[str, str, tuple[Variant, ...]], ...]] = (
    (
        "api-500-boundary",
        "500 for the greatest quantity",
        (
            Variant("order-boundary", "order", _PLACE),
            Variant("inventory-boundary", "inventory", "PUT /api/inventory/{product_id}"),
        ),
    ),
    (
        "api-500-text",
        "500 for text that is not ASCII",
        (
            Variant("inventory-text", "inventory", _ADJUST),
            Variant("product-text", "product", "POST /api/products"),
        ),
    ),
    (
        "api-delete-nothing",
        "a DELETE that deletes nothing",
        (Variant("cart-remove", "cart", "DELETE /api/carts/current/items/{product_id}"),),
    ),
    ("api-no-token", "one operation without a token", (Variant("order-unguarded", "order", _LIST),)),
    ("api-undocumented", "a 409 that is not in the document", (Variant("order-conflict", "order", _GET),)),
    ("api-limit", "one limit that is not kept", (Variant("order-limit", "order", _PLACE),)),
    ("api-not-stored", "created, and not stored", (Variant("order-not-stored", "order", _PLACE),)),
    ("api-type", "one field in another type", (Variant("cart-type", "cart", "GET /api/carts/current"),)),
    ("api-500-twice", "500 for the second cancellation", (Variant("order-second-cancel", "order", _CANCEL),)),
    ("api-no-effect", "a cancellation that is not stored", (Variant("order-lost-cancel", "order", _CANCEL),)),
    ("api-first-line", "only the first line stored", (Variant("order-first-line", "order", _PLACE),)),
    (
        "api-cursor",
        "the cursor ignored",
        (
            Variant("order-cursor", "order", _LIST),
            Variant("product-cursor", "product", "GET /api/products"),
        ),
    ),
    ("api-owner", "another user's order answered", (Variant("order-owner", "order", _GET),)),
)


def families(seed: str) -> Iterator[Family]:
    """Yield a family for each kind, in the service that the seed draws."""
    for name, magnitude, variants in KINDS:
        drawn = Random(f"{seed}:{name}:variant").choice(variants)  # noqa: S311 - a place to plant, no secret
        yield Family(name, AREA, magnitude, f"fuzz-{drawn.service}", drawn.plant)


def deployed() -> tuple[Family, ...]:
    """Return the families that show on the cluster only."""
    # Whoever keeps no inbox takes events again, and cannot say that it took any.
    effects = frozenset({"chaos.effects", "chaos.stock", "chaos.taken"})
    return (
        Family(
            "gateway-blind",
            "load",
            "pods that come a minute after the gateway are never sent a request",
            "load",
            Deployed(
                PATCHES / "gateway-blind.patch", Cause(frozenset({"load.new_pods"}), ("order-service",))
            ),
        ),
        Family(
            "cpu-regression",
            "load",
            "30 % more CPU for POST /api/orders",
            "weigh",
            Deployed(PATCHES / "order-cpu.patch", Cause(frozenset({"load.cpu"}), ("order-service", _PLACE))),
        ),
        Family(
            "no-inbox",
            "chaos",
            "events take effect as often as they come",
            "chaos",
            Deployed(_AUDITED / "no-inbox.patch", Cause(effects)),
        ),
        Family(
            "ack-before-effect",
            "chaos",
            "a batch of events is acknowledged before it takes effect",
            "chaos",
            Deployed(_AUDITED / "ack-before-effect.patch", Cause(frozenset({"chaos.taken"}))),
        ),
    )


@dataclass(frozen=True, slots=True)
class Deployed:
    """A patch of what runs on the cluster; one of the repository's own is taken from the copy."""

    patch: Path
    cause: Cause

    def __call__(self, root: Path, random: Random) -> Planted:
        """Apply it to a copy. Raises PlantError when it does not apply any more."""
        apply(root, root / self.patch)
        return Planted(self.patch.stem, self.cause)
