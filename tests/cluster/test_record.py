"""The record: what is written is read; what is damaged is as good as none."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.cluster import record
from rehearsal.cluster.plan import ClusterSpec, PublishedPort, Ranges
from rehearsal.cluster.record import FILE_NAME, Phase, Record, Setting
from rehearsal.core import catalogue
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.paths import Paths
from rehearsal.core.timing import Timing

from tests.cluster.ground import planned

ports = st.integers(min_value=1, max_value=65535)
ranges = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.ip_addresses(v=4),
    st.integers(min_value=8, max_value=28),
)
specs = st.builds(
    ClusterSpec,
    name=st.from_regex(r"[a-z][a-z0-9-]{1,20}", fullmatch=True),
    profile=st.text(min_size=1),
    timing=st.sampled_from(Timing),
    workers=st.integers(min_value=0, max_value=5),
    egress=st.booleans(),
    ranges=st.builds(Ranges, ranges, ranges, ranges),
    registry_port=ports,
    ports=st.lists(st.builds(PublishedPort, host=ports, node=ports), max_size=4).map(tuple),
    node_image=st.text(),
    controller_manager=st.dictionaries(st.text(), st.text(), max_size=3),
    metrics_resolution_seconds=st.integers(min_value=10),
)
records = st.builds(
    Record,
    spec=specs,
    phase=st.sampled_from(Phase),
    addresses=st.dictionaries(st.text(), st.ip_addresses(v=4), max_size=3),
    maker=st.text(),
)
json_values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.just([]) | st.just({})
)
CHECKOUT = Path(__file__).parents[2]
SETTING = Setting(planned().profile, planned().timing)
RECORD = Record(planned(), Phase.READY, {"mambogo-control-plane": IPv4Address("172.30.0.2")})


@given(records)
def test_record_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, written: Record) -> None:
    folder = tmp_path_factory.mktemp("state")
    record.save(folder, written)

    assert record.load(folder) == written


def _paths(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = (
        [path for key, one in value.items() for path in _paths(one, (*at, key))]
        if isinstance(value, dict)
        else []
    )
    return [at, *below]


@given(data=st.data())
def test_record_with_any_value_replaced_is_read_with_its_types_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("state")
    record.save(folder, RECORD)
    content = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    *parents, last = data.draw(st.sampled_from(_paths(content)[1:]))
    target = content
    for key in parents:
        target = target[key]
    target[last] = data.draw(json_values)
    (folder / FILE_NAME).write_text(json.dumps(content), encoding="utf-8")

    found = record.load(folder)

    # What was read can be written and read again: no value of a wrong type has come in.
    if found is not None:
        record.save(folder, found)
        assert record.load(folder) == found


@given(st.integers(min_value=0))
def test_record_that_was_cut_off_is_none(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    folder = tmp_path_factory.mktemp("state")
    record.save(folder, RECORD)
    content = (folder / FILE_NAME).read_bytes()
    (folder / FILE_NAME).write_bytes(content[: length % len(content)])

    assert record.load(folder) is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"7", b"null", b'"x"', b"{}", b'{"version": 1}']
)
def test_what_is_no_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)

    assert record.load(tmp_path) is None


def test_record_of_another_version_is_none(tmp_path: Path) -> None:
    record.save(tmp_path, RECORD)
    content = json.loads((tmp_path / FILE_NAME).read_text(encoding="utf-8"))
    (tmp_path / FILE_NAME).write_text(json.dumps({**content, "version": 2}), encoding="utf-8")

    assert record.load(tmp_path) is None


def test_absent_record_is_none(tmp_path: Path) -> None:
    assert record.load(tmp_path / "nowhere") is None


def test_forgotten_record_is_none(tmp_path: Path) -> None:
    record.save(tmp_path, RECORD)
    record.forget(tmp_path)
    record.forget(tmp_path)

    assert record.load(tmp_path) is None


def test_nothing_but_the_record_is_left_by_writing(tmp_path: Path) -> None:
    record.save(tmp_path, RECORD)
    record.save(tmp_path, RECORD)

    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    ("profile", "timing"),
    [(None, None), (SETTING.profile, SETTING.timing), (None, SETTING.timing)],
)
def test_cluster_as_it_was_made_is_as_wanted(profile: str | None, timing: Timing | None) -> None:
    record.require_same(SETTING, profile=profile, timing=timing)
    record.require_same(None, profile="other", timing=timing)


@pytest.mark.parametrize("timing", [one for one in Timing if one is not SETTING.timing])
def test_cluster_of_another_profile_or_timing_is_named_and_refused(timing: Timing) -> None:
    for profile, wanted in (("other", None), (None, timing)):
        with pytest.raises(ConfigurationError, match=f"of profile {SETTING.profile}") as caught:
            record.require_same(SETTING, profile=profile, timing=wanted)
        assert caught.value.code == "CLUSTER_OTHER_PROFILE"


def test_setting_is_what_the_cluster_was_made_with(tmp_path: Path) -> None:
    paths = Paths(CHECKOUT, tmp_path, tmp_path)
    assert record.setting(paths, catalogue.load(CHECKOUT)) is None

    record.save(tmp_path, RECORD)

    assert record.setting(paths, catalogue.load(CHECKOUT)) == SETTING


def test_setting_of_another_cluster_is_what_the_catalogue_says(tmp_path: Path) -> None:
    record.save(tmp_path, RECORD)
    place = catalogue.Elsewhere(
        registry="registry.example/shop", profile="standard", timing=Timing.COMPRESSED, ports={}
    )
    known = catalogue.load(CHECKOUT).model_copy(update={"contexts": {"staging": place}})

    found = record.setting(Paths(CHECKOUT, tmp_path, tmp_path, "staging"), known)

    assert found == Setting("standard", Timing.COMPRESSED)
