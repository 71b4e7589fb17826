"""Mambogo's API gateway: reads requests strictly, admits them once, and pumps bytes between sockets."""
