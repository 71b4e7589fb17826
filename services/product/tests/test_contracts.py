"""What product-service writes is what `contract-tests/` says."""

from __future__ import annotations

from mambogo_testkit.contracts import differences

from mambogo_product.adapters.events import registry
from mambogo_product.wiring import NAME


def test_the_committed_contracts_are_what_the_models_say() -> None:
    assert differences(NAME, registry) == []
