"""Reading HTTP/1 heads and chunked content strictly.

The rule of the house: a byte sequence that two implementations could read in two ways is refused, and what
is accepted is written again by the gateway, so that no sender's framing ever reaches the other side.
"""
