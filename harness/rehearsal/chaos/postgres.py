"""Adapter: the shop's database server, asked through the pod that it is in.

Whoever may execute in the pod may read and administer: no password leaves the cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError, run
from rehearsal.core.waiting import NotYet, wait_until

NAMESPACE: Final = "mambogo-managed"
_POD: Final = "postgres-0"
_SOCKET_FOLDER: Final = "/var/lib/postgresql/run"
_SUPERUSER: Final = "postgres"
_QUERY_SECONDS: Final = 60.0
_GONE_SECONDS: Final = 10.0  # a terminated backend leaves in milliseconds


@dataclass(frozen=True, slots=True)
class Postgres:
    """The server on the project's cluster; each service's database has a role of the same name."""

    kubectl: Path
    kubeconfig: Path
    context: str

    def ask(self, database: str, statement: str, *, role: str = "") -> list[str]:
        """Return the lines that a statement answers, as its database's own role or as another one.

        Raises EnvironmentNotReadyError when the server does not answer, or refuses.
        """
        argv = [
            str(self.kubectl), f"--kubeconfig={self.kubeconfig}", f"--context={self.context}",
            "exec", f"--namespace={NAMESPACE}", _POD, "--container=postgres", "--",
            "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set=ON_ERROR_STOP=1",
            f"--host={_SOCKET_FOLDER}", f"--username={role or database}", f"--dbname={database}",
            f"--command={statement}",
        ]  # fmt: skip
        try:
            ended = run(argv, timeout_seconds=_QUERY_SECONDS)
        except ProcessFailedError as error:
            raise EnvironmentNotReadyError(
                "DATABASE_UNREAD",
                f"database {database} was not read: {error.tail or error}",
                hint=f"`kubectl logs -n {NAMESPACE} {_POD}` says what it does.",
            ) from error
        return [line for line in ended.output.splitlines() if line]

    def refuse(self, database: str) -> None:
        """Let nobody into a database and end who is in it, as a failover does, until nobody is left.

        Raises EnvironmentNotReadyError or WaitTimeoutError.
        """
        self._administer(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        theirs = f"FROM pg_stat_activity WHERE datname = '{database}'"

        def nobody() -> bool:
            self._administer(f"SELECT pg_terminate_backend(pid) {theirs}")
            if (left := self._administer(f"SELECT count(*) {theirs}")) != ["0"]:
                raise NotYet(f"{' '.join(left)} connections")
            return True

        wait_until(
            f"the end of every connection to {database}",
            nobody,
            timeout_seconds=_GONE_SECONDS,
            hint=f"`kubectl logs -n {NAMESPACE} {_POD}` says what it does.",
            interval_seconds=0.2,
        )

    def admit(self, database: str) -> None:
        """Let everybody in again; harmless when the database is open."""
        self._administer(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")

    def _administer(self, statement: str) -> list[str]:
        return self.ask(_SUPERUSER, statement)
