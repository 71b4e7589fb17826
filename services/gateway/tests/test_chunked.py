"""The chunked decoder: what was encoded comes out however it is cut, and nothing else is read as content."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mambogo_gateway.parsing.chunked import LAST_CHUNK, ChunkedDecoder, ChunkError, encode_chunk


def decode(data: bytes, cuts: list[int]) -> tuple[bytes, bytes, bool]:
    """Feed `data` in pieces; the payload, what was left over, and whether the end was seen."""
    decoder = ChunkedDecoder()
    payload = rest = b""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        if decoder.done:
            rest += data[start:end]
            continue
        piece, after = decoder.feed(data[start:end])
        payload += piece
        rest += after
    return payload, rest, decoder.done


@given(
    st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(0, 10_000)), st.binary(max_size=40)
)
def test_encoded_content_is_decoded_however_it_is_cut(
    pieces: list[bytes], cuts: list[int], after: bytes
) -> None:
    encoded = b"".join(encode_chunk(piece) for piece in pieces) + LAST_CHUNK
    assert decode(encoded + after, cuts) == (b"".join(pieces), after, True)


@given(st.binary(max_size=60), st.lists(st.integers(0, 100)))
def test_a_verdict_does_not_depend_on_the_cuts(data: bytes, cuts: list[int]) -> None:
    def verdict(cuts: list[int]) -> tuple[bytes, bytes, bool] | None:
        try:
            return decode(data, cuts)
        except ChunkError:
            return None

    assert verdict(cuts) == verdict([])


@given(
    st.text("0123456789abcdefxX+-; \t\r\n\x00gG,_", max_size=24).map(str.encode),
    st.lists(st.integers(0, 100)),
)
def test_near_misses_are_read_the_same_way_whole_or_cut(data: bytes, cuts: list[int]) -> None:
    def verdict(cuts: list[int]) -> tuple[bytes, bytes, bool] | None:
        try:
            return decode(data + b"\r\n0\r\n\r\n", cuts)
        except ChunkError:
            return None

    assert verdict(cuts) == verdict([])
