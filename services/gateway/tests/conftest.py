"""Fixtures shared by the gateway's tests. Everything runs on loopback, on ports that the system chooses."""
