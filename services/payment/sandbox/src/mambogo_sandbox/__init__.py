"""The payment provider's sandbox: an outside company, as far as payment-service can tell.

It shares no code with the platform on purpose: what both sides believe about signatures and amounts has to
meet on the wire.
"""
