"""Whose X-Forwarded-For is believed."""

from __future__ import annotations

import pytest

from mambogo_gateway.edge import Edge

EDGE = Edge(["10.0.0.0/8", "fd00::/8"])


def test_a_stranger_is_its_own_address() -> None:
    trusted, lines = EDGE.of_peer("203.0.113.9")
    assert not trusted
    assert lines.startswith(b"X-Forwarded-For: 203.0.113.9\r\n")


@pytest.mark.parametrize(
    ("forwarded_for", "vouched"),
    [
        (b"203.0.113.7", b"203.0.113.7"),
        (b"1.1.1.1, 203.0.113.7", b"203.0.113.7"),
        (b"203.0.113.7, 10.1.2.3", b"203.0.113.7"),
        (b"2001:db8::1", b"2001:db8::1"),
        (b"10.1.2.3", None),
        (b"203.0.113.7, unknown", None),
        (b"203.0.113.7:80", None),
        (b"", None),
        (b"\xff\xfe", None),
        (None, None),
    ],
)
def test_the_last_foreign_address_counts(forwarded_for: bytes | None, vouched: bytes | None) -> None:
    trusted, peer = EDGE.of_peer("10.0.0.1")
    assert trusted
    lines, address = EDGE.of_request(peer, forwarded_for)
    assert address == vouched
    assert lines.count(b"\r\n") == 2


def test_without_networks_nobody_is_trusted() -> None:
    assert Edge([]).of_peer("127.0.0.1")[0] is False


def test_single_addresses_are_trusted_until_others_take_their_place() -> None:
    edge = Edge([])
    before = edge.generation
    edge.trust_addresses(frozenset({"10.244.0.7"}))
    assert (edge.of_peer("10.244.0.7")[0], edge.of_peer("10.244.0.8")[0]) == (True, False)
    edge.trust_addresses(frozenset({"10.244.0.8"}))
    assert (edge.of_peer("10.244.0.7")[0], edge.of_peer("10.244.0.8")[0]) == (False, True)
    assert edge.generation == before + 2


def test_the_same_addresses_again_change_nothing() -> None:
    edge = Edge([])
    edge.trust_addresses(frozenset({"10.244.0.7"}))
    generation = edge.generation
    edge.trust_addresses(frozenset({"10.244.0.7"}))
    assert edge.generation == generation


def test_an_address_of_the_edge_vouches_for_the_one_before_it() -> None:
    edge = Edge([])
    edge.trust_addresses(frozenset({"10.244.0.7", "10.244.0.8"}))
    lines, address = edge.of_request(b"10.244.0.8", b"6.6.6.6, 203.0.113.7, 10.244.0.7")
    assert address == b"203.0.113.7"
    assert lines.startswith(b"X-Forwarded-For: 203.0.113.7, 10.244.0.8\r\n")
