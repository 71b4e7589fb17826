"""The host's own ranges, from the kernel's routing table as text."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from rehearsal.cluster.host import host_ranges

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
DEFAULT = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0"
OFFICE = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0"  # 192.168.1.0/24
DOCKER = "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"  # 172.17.0.0/16
ODD = "tun0\t00F0640A\t00000000\t0001\t0\t0\t0\t00F8FFFF\t0\t0\t0"  # 10.100.240.0/21
ONE_HOST = "tun0\t04030201\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0"  # 1.2.3.4
# What VPN clients set instead of a default route, so that the old one stays behind it.
LOWER_HALF = "tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0"
UPPER_HALF = "tun0\t00000080\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0"


def _ranges(folder: Path, *routes: str) -> list[IPv4Network]:
    table = folder / "route"
    # The kernel pads each line to a fixed width.
    lines = [f"{line:<127}\n" for line in (HEADER, *routes)]
    table.write_text("".join(lines), encoding="ascii")
    return host_ranges(table)


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param(OFFICE, "192.168.1.0/24", id="24"),
        pytest.param(DOCKER, "172.17.0.0/16", id="16"),
        pytest.param(ODD, "10.100.240.0/21", id="mask-within-a-byte"),
        pytest.param(ONE_HOST, "1.2.3.4/32", id="one-host"),
    ],
)
def test_route_is_a_range_in_the_order_of_the_network(tmp_path: Path, route: str, expected: str) -> None:
    assert _ranges(tmp_path, route) == [IPv4Network(expected)]


def test_all_routes_are_read_in_their_order(tmp_path: Path) -> None:
    found = _ranges(tmp_path, DEFAULT, OFFICE, DOCKER)

    assert found == [IPv4Network("192.168.1.0/24"), IPv4Network("172.17.0.0/16")]


def test_default_route_takes_nothing(tmp_path: Path) -> None:
    assert _ranges(tmp_path, DEFAULT) == []


def test_default_route_in_two_halves_takes_nothing(tmp_path: Path) -> None:
    assert _ranges(tmp_path, LOWER_HALF, UPPER_HALF, OFFICE) == [IPv4Network("192.168.1.0/24")]


def test_host_without_routes_has_no_ranges(tmp_path: Path) -> None:
    assert _ranges(tmp_path) == []


def test_table_of_this_host_is_understood() -> None:
    assert IPv4Network("0.0.0.0/0") not in host_ranges()
