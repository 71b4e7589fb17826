"""Which peers are our own load balancers, and what the forwarding fields to a pod say.

X-Forwarded-For counts only from a trusted edge, and then only its last address outside the trusted
networks: what stands before it was written by the client. From any other peer the field is dropped, and no
address is vouched for: behind a NodePort all clients share one. Networks are configured; single addresses are
those that a name has at the moment (Upkeep looks it up), because pods of an edge get new ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

# Addresses change rarely; the cache is bounded against a client that invents them.
_REMEMBERED_PEERS: Final = 4096

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Edge:
    """Judges peers by their network."""

    def __init__(self, trusted_networks: Sequence[str]) -> None:
        self._networks: list[_Network] = [ipaddress.ip_network(network) for network in trusted_networks]
        self._addresses: frozenset[str] = frozenset()
        self._peers: dict[str, bool] = {}
        self.generation = 0
        """Changes with the addresses: what a connection knows about its peer is from one generation."""

    def trust_addresses(self, addresses: frozenset[str]) -> None:
        """Trust these and no longer the ones before; the networks stay."""
        if addresses != self._addresses:
            self._addresses = addresses
            self.generation += 1

    def of_peer(self, address: str) -> tuple[bool, bytes]:
        """Whether a peer is a trusted edge, and the forwarding lines (for an edge: its bare address)."""
        trusted = self._is_trusted(address)
        raw = address.encode("ascii", "replace")
        if trusted:
            return True, raw
        return False, b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\n" % raw

    def of_request(self, peer: bytes, forwarded_for: bytes | None) -> tuple[bytes, bytes | None]:
        """The forwarding lines of a request from an edge, and the address that it vouches for."""
        address = self._vouched(forwarded_for) if forwarded_for is not None else None
        chain = peer if address is None else address + b", " + peer
        return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\n" % chain, address

    def _vouched(self, forwarded_for: bytes) -> bytes | None:
        for item in reversed(forwarded_for.split(b",")):
            text = item.strip(b" \t").decode("latin-1")
            try:
                ipaddress.ip_address(text)
            except ValueError:
                return None
            if not self._is_trusted(text):
                return text.encode("ascii")
        return None

    def _is_trusted(self, address: str) -> bool:
        if address in self._addresses:
            return True
        if not self._networks:
            return False
        known = self._peers.get(address)
        if known is None:
            try:
                parsed = ipaddress.ip_address(address)
            except ValueError:
                return False
            known = any(parsed in network for network in self._networks)
            if len(self._peers) < _REMEMBERED_PEERS:
                self._peers[address] = known
        return known
