"""Proofs that nothing was lost, doubled or oversold: pure functions over what clients saw and what is left.

`audit.audit` runs all of them. They read a history (`shop.history`) and a snapshot (`snapshot`); collecting
the snapshot from databases and topics is somebody else's.
"""
