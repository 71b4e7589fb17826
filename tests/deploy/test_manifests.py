"""Objects as they are read and written."""

from __future__ import annotations

import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.deploy.manifests import as_cpu, as_memory, dump, identity, mebibytes, millicores, named, parse

from tests.deploy.base import base_objects


def test_what_is_written_reads_the_same() -> None:
    assert parse(dump(base_objects())) == base_objects()


def test_a_text_of_several_lines_is_written_as_a_block() -> None:
    assert "data:\n  rules: |\n    one\n    two\n" in dump([{"data": {"rules": "one\ntwo\n"}}])


@pytest.mark.parametrize(("quantity", "value"), [("250m", 250), ("2", 2000), (1, 1000), ("0.5", 500)])
def test_cpu_is_read_in_millicores(quantity: str | int, value: float) -> None:
    assert millicores(quantity) == value


@pytest.mark.parametrize(("quantity", "value"), [("512Mi", 512), ("1Gi", 1024), ("2048Ki", 2)])
def test_memory_is_read_in_mebibytes(quantity: str, value: float) -> None:
    assert mebibytes(quantity) == value


def test_quantities_are_rounded_up_and_not_by_floating_point() -> None:
    assert (as_cpu(250 * 0.08), as_cpu(20.2), as_memory(181.1)) == ("20m", "21m", "182Mi")


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(HarnessError, match="'5Xi' is no quantity"):
        mebibytes("5Xi")


def test_a_missing_object_is_named() -> None:
    with pytest.raises(HarnessError, match="there is no Service nobody"):
        named(base_objects(), "Service", "nobody")


def test_an_object_is_shown_by_kind_namespace_and_name() -> None:
    order = named(base_objects(), "Service", "order-service")
    assert identity(order) == "Service mambogo-production/order-service"
