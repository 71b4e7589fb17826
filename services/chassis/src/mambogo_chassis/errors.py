"""The root of every error that the chassis raises on its own account.

HTTP answers are `http.problems.Problem`; this module is for what goes wrong around them: settings, keys,
peers, tasks. Business errors belong to the services.
"""


class ChassisError(Exception):
    """An error with a stable code, what happened, and what to do about it."""

    code = "chassis"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" + (f" ({self.hint})" if self.hint else "")
