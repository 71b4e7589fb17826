"""Rows about the engine, the network and the supplies; pure functions of the facts."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from rehearsal.cluster.plan import Ranges, choose_ranges
from rehearsal.core.catalogue import FORWARDED
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.stages.doctor.facts import FileState, MachineFacts, PortFacts
from rehearsal.stages.doctor.rows import Row, Status
from rehearsal.supply.engine import Engine, cure_of_unable, privileged_works
from rehearsal.supply.engine_finding import Silent
from rehearsal.supply.engine_start import Refusal, plan
from rehearsal.supply.status import SupplyStatus

_ALWAYS_DIRECT = ("127.0.0.1", "localhost")
_IN_CLUSTER = (".svc", ".cluster.local")
_WITHOUT = {
    "CAP_SYS_RESOURCE": "no process gets a negative OOM score or a limit above the host's hard limit",
    "CAP_NET_ADMIN": "no network can be set up",
    "CAP_SYS_ADMIN": "nothing can be mounted",
    "CAP_SYS_TIME": "the clock cannot be set",
    "CAP_SYS_MODULE": "kernel modules cannot be loaded",
    "CAP_SYS_PTRACE": "other processes cannot be traced",
}
# What kind's nodes cannot do without, whatever the runtime takes out of a container.
_INDISPENSABLE = frozenset(
    {"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_MKNOD", "CAP_SYS_CHROOT", "CAP_SETUID", "CAP_SETGID"}
)


def engine(facts: MachineFacts) -> Row:
    """Judge the Docker engine: the one that answers, or whether one can be started."""
    if isinstance(facts.engine, Silent):
        return _no_engine(facts, facts.engine)
    found = facts.engine
    return Row(
        "engine",
        "Docker engine",
        Status.OK,
        f"{found.version}, {found.origin}, {found.storage_driver}, cgroup driver {found.cgroup_driver}",
        measured={
            "host": found.endpoint.host,
            "chosen_by": found.endpoint.source,
            "origin": found.origin.value,
            "pid": found.pid,
            "version": found.version,
            "api_version": found.api_version,
            "cgroup_driver": found.cgroup_driver,
            "cgroup_version": found.cgroup_version,
            "storage_driver": found.storage_driver,
            "data_root": str(found.data_root),
            "default_runtime": found.default_runtime,
        },
    )


def _no_engine(facts: MachineFacts, silent: Silent) -> Row:
    decision = plan(silent, facts.host)
    measured = {"host": silent.endpoint.host, "chosen_by": silent.endpoint.source, "why": silent.why.value}
    if isinstance(decision, Refusal):
        return Row(
            "engine",
            "Docker engine",
            Status.BLOCKER,
            f"none answers at {silent.endpoint.host} ({silent.endpoint.source})",
            explanation=decision.message,
            cure=decision.hint,
            measured=measured,
        )
    first = f"installs {' '.join(decision.packages)} and " if decision.packages else ""
    return Row(
        "engine",
        "Docker engine",
        Status.WILL_FIX,
        f"none answers; {first}starts one",
        explanation="It is started detached, with a configuration of its own; /etc/docker is not touched.",
        measured=measured,
    )


def capabilities(facts: MachineFacts) -> Row:
    """Judge which capabilities containers cannot get, and whether the engine's runtime copes."""
    lost = facts.missing_capabilities
    measured: dict[str, str | list[str]] = {"missing": list(lost)}
    if not lost:
        return Row("capabilities", "Capabilities", Status.OK, "complete", measured=measured)
    why = "; ".join(f"{name}: {_WITHOUT.get(name, 'what needs it fails')}" for name in lost)
    fatal = _INDISPENSABLE & set(lost)
    unable = isinstance(facts.engine, Engine) and not privileged_works(facts.engine)
    if fatal or unable:
        cure = "Run on a host (or in a container) that has them: `capsh --print`"
        if not fatal and isinstance(facts.engine, Engine):
            cure = cure_of_unable(facts.engine)
        summary = f"without {', '.join(sorted(fatal) or lost)}; no node can be started"
        return Row("capabilities", "Capabilities", Status.BLOCKER, summary, why, cure, measured)
    runtime = facts.engine.default_runtime if isinstance(facts.engine, Engine) else "runc-bounded"
    return Row(
        "capabilities",
        "Capabilities",
        Status.LIMIT,
        f"without {', '.join(lost)}; runtime {runtime} takes them out",
        explanation=why,
        measured=measured | {"runtime": runtime},
        excludes=tuple(f"capability.{name.removeprefix('CAP_').lower()}" for name in lost),
    )


def ports(facts: MachineFacts) -> Iterator[Row]:
    """Judge each port of the catalogue."""
    for port in facts.ports:
        yield judge_port(port)


def judge_port(port: PortFacts) -> Row:
    """Judge one port by its holder."""
    holder = port.holder
    measured = {"port": port.port, "holder": holder.what if holder else None}
    row_id, title = f"port.{port.name}", f"Port {port.port} ({port.name})"
    if holder is None:
        return Row(row_id, title, Status.OK, "free", measured=measured)
    measured |= {"pid": holder.pid, "container": holder.container}
    if holder.ours:
        return Row(row_id, title, Status.OK, f"ours: {holder.what}", measured=measured)
    if holder.container:
        end = f"`docker stop {holder.container}`"
    else:
        end = (
            f"`kill {holder.pid}`"
            if holder.pid
            else f"`sudo ss -ltnp 'sport = :{port.port}'` names it; end it"
        )
    needed = port.name not in FORWARDED
    cure = f"{end}, or change ports.{port.name} in rehearsal.toml"
    return Row(
        row_id,
        title,
        Status.BLOCKER if needed else Status.LIMIT,
        f"in use by {holder.what}" + (f" (pid {holder.pid})" if holder.pid else ""),
        explanation="The cluster publishes this port on 127.0.0.1."
        if needed
        else f"Tilt cannot forward it, and its link leads to another program: {cure}.",
        cure=cure if needed else "",
        measured=measured,
    )


def ranges(facts: MachineFacts) -> Row:
    """Judge the candidates for address ranges against what the host uses."""
    used = [f"{one.subnet} ({one.by})" for one in facts.ranges_in_use]
    chosen = _chosen(facts)
    if isinstance(chosen, EnvironmentNotReadyError):
        return Row(
            "ranges",
            "Address ranges",
            Status.BLOCKER,
            chosen.message,
            explanation=f"In use: {', '.join(used)}.",
            cure="Add a free range to that list in rehearsal.toml",
            measured={"in_use": used},
        )
    state = "in use by our cluster" if facts.ranges_of_cluster else "free"
    return Row(
        "ranges",
        "Address ranges",
        Status.OK,
        f"nodes {chosen.docker}, pods {chosen.pods}, services {chosen.services}: {state}",
        measured={
            "nodes": str(chosen.docker),
            "pods": str(chosen.pods),
            "services": str(chosen.services),
            "in_use": used,
        },
    )


def _chosen(facts: MachineFacts) -> Ranges | EnvironmentNotReadyError:
    if facts.ranges_of_cluster:
        return facts.ranges_of_cluster
    try:
        return choose_ranges(facts.catalogue, [one.subnet for one in facts.ranges_in_use])
    except EnvironmentNotReadyError as error:
        return error


def proxy(facts: MachineFacts) -> Row:
    """Judge proxy variables: a client that follows them sends local requests away."""
    variables = {name: value for name, value in facts.proxies.items() if name.lower() != "no_proxy"}
    if not variables:
        return Row("proxy", "Proxy variables", Status.OK, "none set")
    chosen = _chosen(facts)
    nets = (
        () if isinstance(chosen, EnvironmentNotReadyError) else (chosen.docker, chosen.pods, chosen.services)
    )
    wanted = [*_ALWAYS_DIRECT, *map(str, nets), *_IN_CLUSTER]
    excepted = _excepted(facts)
    lost = [one for one in wanted if not _covered(one, excepted)]
    measured: dict[str, str | list[str]] = {"set": sorted(variables), "not_excepted": lost}
    if not lost:
        summary = f"{', '.join(sorted(variables))} set, the cluster is excepted"
        return Row("proxy", "Proxy variables", Status.OK, summary, measured=measured)
    complete = ",".join(dict.fromkeys([*excepted, *lost]))
    return Row(
        "proxy",
        "Proxy variables",
        Status.BLOCKER,
        f"{', '.join(sorted(variables))} set, but no_proxy lacks {', '.join(lost)}",
        explanation="Requests to the cluster, the registry and between pods would go to the proxy.",
        cure=f"export no_proxy={complete} NO_PROXY={complete}",
        measured=measured,
    )


def _excepted(facts: MachineFacts) -> list[str]:
    values = [value for name, value in facts.proxies.items() if name.lower() == "no_proxy"]
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _covered(wanted: str, excepted: list[str]) -> bool:
    if "*" in excepted or wanted in excepted or wanted.lstrip(".") in excepted:
        return True
    try:
        inner = IPv4Network(wanted)
        return any(inner.subnet_of(IPv4Network(one)) for one in excepted if one[:1].isdigit())
    except ValueError:
        # A name, or an exception that is no range: only the literal comparison above counts.
        return False


def localhost(facts: MachineFacts) -> Row:
    """Judge names below .localhost, as Python resolves them."""
    resolves = facts.localhost_names
    note = {True: "resolve", False: "do not resolve in Python", None: "no answer in time"}[resolves]
    # The harness connects to 127.0.0.1 and sets Host and SNI; a browser resolves such names by itself.
    return Row(
        "localhost",
        "Names below .localhost",
        Status.OK,
        note if resolves else f"{note}; 127.0.0.1 with a Host header is used",
        measured={"resolves": resolves},
    )


def kubeconfig(facts: MachineFacts) -> Row:
    """Judge the user's kubeconfig, into which `up` merges its context."""
    state, path = facts.kubeconfig_state, facts.kubeconfig
    measured = {"path": str(path), "state": state.value}
    title = "User's kubeconfig"
    if state is FileState.ABSENT:
        return Row(
            "kubeconfig", title, Status.WILL_FIX, f"{path} is made with our context", measured=measured
        )
    if state is FileState.READABLE:
        return Row("kubeconfig", title, Status.OK, str(path), measured=measured)
    damaged = state is FileState.DAMAGED
    return Row(
        "kubeconfig",
        title,
        Status.BLOCKER,
        f"{path} {'is not a kubeconfig' if damaged else 'cannot be read or written'}",
        explanation="Our context is merged into it; a file that cannot be understood is never overwritten.",
        cure=f"mv {path} {path}.broken" if damaged else f"sudo chown $USER {path} && chmod 600 {path}",
        measured=measured,
    )


def browser(facts: MachineFacts) -> Row:
    """Judge whether there is a browser for screenshots."""
    measured = {"path": facts.browser}
    if facts.browser:
        return Row("browser", "Chromium", Status.OK, facts.browser, measured=measured)
    return Row(
        "browser",
        "Chromium",
        Status.LIMIT,
        "absent",
        explanation="No screenshots of Tilt and of reports; everything else works. Debian: package chromium.",
        measured=measured,
        excludes=("screenshots",),
    )


def supplies(facts: MachineFacts) -> Iterator[Row]:
    """Say for each supply its version and where it comes from."""
    for supply in facts.supplies:
        # An engine that is yet to be started may have it from an earlier time.
        yield _supply(supply, unknown=supply.kind == "image" and isinstance(facts.engine, Silent))


def _supply(supply: SupplyStatus, *, unknown: bool) -> Row:
    explanation, excludes = "", tuple[str, ...]()
    if supply.ready:
        status, how = Status.OK, supply.source
    elif supply.refusal:
        status, how = Status.LIMIT, f"left out, it could not be pulled: {supply.refusal}"
        explanation = f"Everything else works. `rehearsal supply build {supply.name}` asks again."
        excludes = (supply.name,)
    elif supply.needed:
        when = "will be made unless the engine has it" if unknown else "will be made"
        status, how = Status.WILL_FIX, f"{when}: {supply.source}"
    else:
        status, how = Status.OK, "not needed: what would be built with it is there"
    return Row(
        f"supply.{supply.name}",
        f"{supply.kind.capitalize()} {supply.name}",
        status,
        f"{supply.version}, {how}",
        explanation,
        measured={
            "version": supply.version,
            "source": supply.source,
            "ready": supply.ready,
            "needed": supply.needed,
            "where": supply.where,
        },
        excludes=excludes,
    )
