"""What every Mambogo service shares.

Nothing is imported here on purpose: a service pays, in start-up CPU and memory, only for the parts that it
names. Business rules belong to the services; this package knows none.
"""
