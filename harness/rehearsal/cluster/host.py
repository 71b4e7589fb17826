"""The host's own address ranges, read from the kernel's routing table."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

_DESTINATION, _MASK = 1, 7  # columns of /proc/net/route, little-endian hexadecimal
# VPN clients lay two routes of this length over the default one instead of replacing it.
_HALF_OF_DEFAULT_PREFIX = 1


def host_ranges(table: Path = Path("/proc/net/route")) -> list[IPv4Network]:
    """Return every range that the host has a route to, but for the default route, whole or in halves."""
    found: list[IPv4Network] = []
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        destination, mask = (int(fields[at], 16).to_bytes(4, "little") for at in (_DESTINATION, _MASK))
        prefix = int.from_bytes(mask, "big").bit_count()
        if prefix > _HALF_OF_DEFAULT_PREFIX:
            found.append(IPv4Network((int.from_bytes(destination, "big"), prefix)))
    return found
