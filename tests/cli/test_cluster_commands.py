"""Which node image a cluster is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest
from rehearsal.cli.cluster_commands import node_image
from rehearsal.cli.composition import Workshop
from rehearsal.supply.images import ImageRef


@dataclass
class FakeSupplies:
    """Supplies of which the stack's node is there, or not."""

    there: bool
    made: list[str] = field(default_factory=list)

    def image_or_instead(self, name: str) -> ImageRef:
        self.made.append(name)
        return _ref(name)

    def image_if_there(self, name: str) -> ImageRef | None:
        return _ref(name) if self.there else None

    def image(self, name: str) -> ImageRef:
        return _ref(name)


@dataclass
class FakeShop:
    """A machine with a cluster, or without."""

    supplies: FakeSupplies
    cluster: str

    def cluster_identity(self) -> str:
        return self.cluster


def _ref(name: str) -> ImageRef:
    return ImageRef(name, f"rehearsal/{name}:1", f"rehearsal/{name}:key", "key", "id")


@pytest.mark.parametrize(
    ("stack", "cluster", "there", "taken", "made"),
    [
        pytest.param(True, "", False, "stack-node", ["stack-node"], id="up-makes-it-for-a-new-cluster"),
        pytest.param(True, "id", False, "node", [], id="up-does-not-for-a-cluster-that-is-there"),
        pytest.param(True, "id", True, "stack-node", [], id="up-takes-it-for-further-nodes"),
        pytest.param(False, "", False, "node", [], id="cluster-up-needs-no-stack"),
        pytest.param(False, "", True, "stack-node", [], id="cluster-up-takes-it-where-it-is"),
    ],
)
def test_the_node_image_has_the_stacks_images_where_that_pays(
    *, stack: bool, cluster: str, there: bool, taken: str, made: list[str]
) -> None:
    supplies = FakeSupplies(there)
    shop = cast("Workshop", FakeShop(supplies, cluster))
    assert (node_image(shop, stack=stack).name, supplies.made) == (taken, made)
