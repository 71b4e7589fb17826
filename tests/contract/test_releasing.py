"""A release copies documents and expectations, and keeps every schema of an event that was ever released."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rehearsal.contract.keeping import judge_released
from rehearsal.contract.releasing import main, release, withdraw
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.verdicts import Verdict

EVENT = "com.mambogo.order.placed.v1"


def _write(root: Path, name: str, version: int) -> None:
    path = root / "contract-tests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": version}), encoding="utf-8")


def _versions(root: Path, pattern: str) -> dict[str, int]:
    folder = root / "contract-tests" / "released"
    found = sorted(folder.glob(pattern))
    return {str(path.relative_to(folder)): json.loads(path.read_text())["version"] for path in found}


def test_documents_are_those_of_the_last_release(tmp_path: Path) -> None:
    for version in (1, 2):
        _write(tmp_path, "openapi/order-service.json", version)
        _write(tmp_path, "consumers/cart-service.json", version)
        release(tmp_path)

    assert _versions(tmp_path, "*/*.json") == {
        "consumers/cart-service.json": 2,
        "openapi/order-service.json": 2,
    }


def test_each_schema_of_an_event_is_kept_once(tmp_path: Path) -> None:
    for version in (1, 2, 2, 3):
        _write(tmp_path, f"events/{EVENT}.schema.json", version)
        release(tmp_path)

    kept = _versions(tmp_path, f"events/{EVENT}/*.json")
    assert list(kept.values()) == [1, 2, 3]


def test_service_that_is_gone_is_released_as_gone(tmp_path: Path) -> None:
    _write(tmp_path, "openapi/order-service.json", 1)
    release(tmp_path)
    (tmp_path / "contract-tests" / "openapi" / "order-service.json").unlink()

    assert release(tmp_path) == ["released/openapi/order-service.json"]
    assert _versions(tmp_path, "openapi/*.json") == {}


def test_nothing_new_changes_nothing(tmp_path: Path) -> None:
    _write(tmp_path, f"events/{EVENT}.schema.json", 1)
    _write(tmp_path, "openapi/order-service.json", 1)
    release(tmp_path)

    assert release(tmp_path) == []


def _released(root: Path, *versions: int) -> Path:
    for version in versions:
        _write(root, f"events/{EVENT}.schema.json", version)
        _write(root, "openapi/order-service.json", version)
        release(root)
    return root / "contract-tests" / "released" / "events" / EVENT


def _found(root: Path) -> list[tuple[str, Verdict]]:
    return [(one.subject, one.verdict) for one in judge_released(root / "contract-tests")]


@pytest.mark.parametrize("versions", [(1,), (1, 2, 3)])
def test_what_was_released_is_as_it_was(tmp_path: Path, versions: tuple[int, ...]) -> None:
    _released(tmp_path, *versions)

    assert _found(tmp_path) == [("all releases", Verdict.PASS)]


def test_releases_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    _released(tmp_path, *range(1, 12))

    lines = (tmp_path / "contract-tests" / "released" / "releases.txt").read_text().splitlines()
    numbers = [line.rpartition("/")[2].split(".")[0] for line in lines if "  events/" in line]
    assert numbers == [str(number) for number in range(1, 12)]


@pytest.mark.parametrize("verb", ["unlinked", "edited"])
def test_release_that_is_no_longer_as_it_was_stops_the_next_one(tmp_path: Path, verb: str) -> None:
    middle = _released(tmp_path, 1, 2, 3) / "2.schema.json"
    middle.unlink() if verb == "unlinked" else middle.write_text("{}", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"2\.schema\.json"):
        release(tmp_path)
    assert _found(tmp_path) == [(f"events/{EVENT}/2.schema.json", Verdict.FAIL)]


def test_release_that_is_withdrawn_is_gone_and_its_number_stays(tmp_path: Path) -> None:
    _released(tmp_path, 1, 2)

    assert withdraw(tmp_path, f"{EVENT}/2") == f"released/events/{EVENT}/2.schema.json"
    _released(tmp_path, 3)
    assert list(_versions(tmp_path, f"events/{EVENT}/*.json").items()) == [
        (f"events/{EVENT}/1.schema.json", 1),
        (f"events/{EVENT}/3.schema.json", 3),
    ]
    assert _found(tmp_path) == [("all releases", Verdict.PASS)]


def test_release_that_is_withdrawn_and_there_is_found(tmp_path: Path) -> None:
    folder = _released(tmp_path, 1)
    withdraw(tmp_path, f"{EVENT}/1")
    folder.mkdir()
    (folder / "1.schema.json").write_text("{}", encoding="utf-8")

    assert _found(tmp_path) == [(f"events/{EVENT}/1.schema.json", Verdict.FAIL)]


@pytest.mark.parametrize("name", [f"{EVENT}/3", "com.mambogo.order.lost.v1/1", "../openapi/order-service"])
def test_only_a_release_of_an_event_can_be_withdrawn(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _released(tmp_path, 1)
    monkeypatch.chdir(tmp_path)

    assert main(["--withdraw", name]) == 2
    assert "RELEASE_UNKNOWN" in capsys.readouterr().err
    assert _found(tmp_path) == [("all releases", Verdict.PASS)]


def test_release_that_the_list_leaves_out_is_a_gap(tmp_path: Path) -> None:
    middle = _released(tmp_path, 1, 2, 3) / "2.schema.json"
    middle.unlink()
    path = tmp_path / "contract-tests" / "released" / "releases.txt"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(one for one in lines if "/2.schema" not in one), encoding="utf-8")

    assert _found(tmp_path) == [(f"events/{EVENT}/2.schema.json", Verdict.FAIL)]


def test_file_that_no_release_has_put_there_is_found(tmp_path: Path) -> None:
    folder = _released(tmp_path, 1)
    (folder / "2.schema.json").write_text("{}", encoding="utf-8")

    assert _found(tmp_path) == [(f"events/{EVENT}/2.schema.json", Verdict.FAIL)]


@pytest.mark.parametrize(
    "content", [None, "", "what\n", "0  events/x/1.schema.json\n", "0" * 64 + "  events/x/0\n"]
)
def test_without_a_list_that_can_be_read_nothing_is_said(tmp_path: Path, content: str | None) -> None:
    folder = _released(tmp_path, 1)
    path = folder.parents[1] / "releases.txt"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")

    if content != "":
        assert _found(tmp_path) == [("all releases", Verdict.INVALID)]
    with pytest.raises(ConfigurationError) as caught:
        release(tmp_path)
    assert caught.value.code == "RELEASES_CHANGED"
