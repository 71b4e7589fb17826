"""This checkout's own contracts keep what was released; a broken copy of them is found, by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from rehearsal.contract.committed import judge_committed
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 26)
ORDERS = Path("contract-tests", "openapi", "order-service.json")
EVENT = "com.mambogo.order.placed.v1"
PLACE = "/paths/~1api~1orders/post/requestBody/content/application~1json/schema/properties/currency/anyOf/0"

WITHOUT_YEN = (
    'it is refused by enum ["EUR", "USD", "GBP", "CHF"], and allowed by '
    '{"anyOf": [{"enum": ["EUR", "USD", "GBP", "CHF", "JPY"], "ty ... (942a02710539)'
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a checkout with a copy of the contracts."""
    for folder in ("contract-tests", "k8s/base/jobs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def _edit(path: Path, change: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def _enum(document: Any) -> list[str]:
    found: list[str] = document["components"]["schemas"]["OrderBody"]["properties"]["currency"]["anyOf"][0][
        "enum"
    ]
    return found


def _narrow(document: Any) -> None:
    _enum(document).remove("JPY")


def _accept(root: Path, pointer: str, rule: str, observed: str, operation: str = "POST /api/orders") -> None:
    folder = root / "contract-tests" / "accepted-breaks"
    folder.mkdir(exist_ok=True)
    (folder / "yen.toml").write_text(
        'document = "openapi/order-service.json"\nreason = "Nobody pays in it."\nexpires = 2026-12-31\n'
        f'places = [{{ operation = "{operation}", pointer = "{pointer}", rule = "{rule}", '
        f"observed = '{observed}' }}]\n",
        encoding="utf-8",
    )


def _bad(root: Path) -> Iterator[Check]:
    return (one for one in judge_committed(root, TODAY) if one.verdict is not Verdict.PASS)


def test_committed_contracts_keep_what_was_released() -> None:
    checks = list(judge_committed(ROOT, datetime.now(UTC).date()))

    assert [one for one in checks if one.verdict is not Verdict.PASS] == []
    assert {one.id for one in checks} == {
        "contract.released",
        "contract.breaking",
        "contract.events",
        "contract.topics",
        "contract.consumers",
        "contract.accepted",
    }


def test_break_is_told_with_service_operation_place_and_command(copy: Path) -> None:
    _edit(copy / ORDERS, _narrow)

    (check,) = _bad(copy)
    assert (check.id, check.verdict) == ("contract.breaking", Verdict.FAIL)
    assert check.subject == "order-service POST /api/orders"
    assert check.sentence == 'in its body, currency may not be "JPY"; this breaks whoever calls it'
    assert check.expected == f"{PLACE}: it is taken"
    assert (check.source, check.reproduce) == (str(ORDERS), "nox -s compatibility")


def test_accepted_break_passes_and_is_told(copy: Path) -> None:
    _edit(copy / ORDERS, _narrow)
    _accept(copy, PLACE, "enum", WITHOUT_YEN)

    checks = {one.subject: one for one in judge_committed(copy, TODAY)}
    assert {one.verdict for one in checks.values()} == {Verdict.PASS}
    assert "but for 1 accepted" in checks["order-service"].sentence
    assert "Nobody pays in it." in checks["yen.toml"].sentence


def test_comparison_that_cannot_be_made_is_no_pass(copy: Path) -> None:
    _edit(copy / ORDERS, lambda it: it.update(servers=[{"url": "/v2"}]))

    (check,) = _bad(copy)
    assert (check.verdict, check.subject) == (Verdict.INVALID, "order-service the document")
    assert "/servers" in check.sentence


def test_doubt_that_a_person_has_settled_passes(copy: Path) -> None:
    _edit(copy / ORDERS, lambda it: it.update(servers=[{"url": "/v2"}]))
    _accept(copy, "/servers", "undecided", '[{"url": "/v2"}]', "the document")

    assert list(_bad(copy)) == []


def test_narrowing_that_goes_on_is_another_break_than_the_accepted_one(copy: Path) -> None:
    def narrow_more(document: Any) -> None:
        _narrow(document)
        _enum(document).remove("GBP")

    _accept(copy, PLACE, "enum", WITHOUT_YEN)
    _edit(copy / ORDERS, narrow_more)

    assert {one.id for one in _bad(copy)} == {"contract.breaking", "contract.accepted"}


def test_doubt_that_has_become_another_is_not_settled(copy: Path) -> None:
    _accept(copy, "/servers", "undecided", '[{"url": "/v2"}]', "the document")
    _edit(copy / ORDERS, lambda it: it.update(servers=[{"url": "/v3"}]))

    assert {one.id for one in _bad(copy)} == {"contract.breaking", "contract.accepted"}


def test_finding_tells_all_that_accepts_it(copy: Path) -> None:
    _edit(copy / ORDERS, _narrow)

    (check,) = _bad(copy)
    assert check.observed.endswith(f" (enum): {WITHOUT_YEN}")


@pytest.mark.parametrize("place", ["openapi", "released/openapi"])
def test_missing_document_is_no_pass(copy: Path, place: str) -> None:
    (copy / "contract-tests" / place / "cart-service.json").unlink()

    bad = [(one.subject, one.verdict) for one in _bad(copy) if one.id == "contract.breaking"]
    assert bad == [("cart-service", Verdict.INVALID)]


def test_document_that_is_gone_with_its_release_is_found(copy: Path) -> None:
    for place in ("openapi", "released/openapi"):
        (copy / "contract-tests" / place / "product-service.json").unlink()

    found = [one.subject for one in _bad(copy) if one.id == "contract.released"]
    assert found == ["openapi/product-service.json"]


def test_type_of_which_no_release_is_left_is_not_taken_for_a_new_one(copy: Path) -> None:
    shutil.rmtree(copy / "contract-tests" / "released" / "events" / EVENT)
    _edit(
        copy / "contract-tests" / "events" / f"{EVENT}.schema.json", lambda it: it.update(description="Other")
    )

    (check,) = _bad(copy)
    assert (check.id, check.verdict) == ("contract.released", Verdict.FAIL)
    assert check.subject == f"events/{EVENT}/1.schema.json"
    assert check.source == "contract-tests/released/releases.txt"


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_document_that_is_none_is_no_pass(copy: Path, text: str) -> None:
    (copy / ORDERS).write_text(text, encoding="utf-8")

    bad = list(_bad(copy))
    assert {one.verdict for one in bad} == {Verdict.INVALID}
    assert "order-service" in {one.subject for one in bad if one.id == "contract.breaking"}


def test_checkout_without_contracts_is_no_pass(tmp_path: Path) -> None:
    assert Verdict.INVALID in {one.verdict for one in judge_committed(tmp_path, TODAY)}
