"""Each row, by breaking its cause on a machine on which everything else is well."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from rehearsal.core.verdicts import ExitCode
from rehearsal.stages.doctor import Row, Status, exit_code_of_rows, judge, report_record
from rehearsal.stages.doctor.facts import (
    ClockFacts,
    DiskFacts,
    FileState,
    MachineFacts,
    Option,
    PortFacts,
    PortHolder,
    RangeUse,
)
from rehearsal.supply.engine_finding import Endpoint, Engine, Origin, Silence, Silent
from rehearsal.supply.status import SupplyStatus

GIB = 1 << 30
DEFAULT = Endpoint("unix:///var/run/docker.sock", "default socket", chosen_by_user=False)
CHOSEN = Endpoint("tcp://10.0.0.1:2375", "DOCKER_HOST", chosen_by_user=True)
Break = Callable[[MachineFacts], MachineFacts]


def _with(**changes: object) -> Break:
    return lambda facts: dataclasses.replace(facts, **changes)  # type: ignore[arg-type]  # names by hand


def _host(**changes: object) -> Break:
    return lambda facts: dataclasses.replace(
        facts,
        host=dataclasses.replace(facts.host, **changes),  # type: ignore[arg-type]  # names by hand
    )


def _silent(endpoint: Endpoint, why: Silence) -> Break:
    return _with(engine=Silent(endpoint, why, "no"))


def _kernel(**options: Option) -> Break:
    return lambda facts: dataclasses.replace(
        facts, kernel=dataclasses.replace(facts.kernel, options={**facts.kernel.options, **options})
    )


def _lacking(*names: str, runtime: str, origin: Origin = Origin.USERS) -> Break:
    def apply(facts: MachineFacts) -> MachineFacts:
        assert isinstance(facts.engine, Engine)
        engine = dataclasses.replace(
            facts.engine, missing_capabilities=names, default_runtime=runtime, origin=origin
        )
        return dataclasses.replace(facts, engine=engine, missing_capabilities=names)

    return apply


_NGINX = PortHolder("program nginx", 42, None, ours=False)


def _port(holder: PortHolder) -> Break:
    return _with(ports=(PortFacts("http", 8080, holder),))


def _both(*breaks: Break) -> Break:
    def apply(facts: MachineFacts) -> MachineFacts:
        for one in breaks:
            facts = one(facts)
        return facts

    return apply


OK, FIX, LIMIT, BLOCKER = Status.OK, Status.WILL_FIX, Status.LIMIT, Status.BLOCKER
LOW = {"max_user_instances": 128, "max_user_watches": 1_048_576}
EVERYTHING = (RangeUse(IPv4Network("0.0.0.0/0"), "a tunnel"),)
REFUSED = SupplyStatus("grafana", "image", "13.2.3", "pulled", False, refusal="no route")
PROXY = {"HTTP_PROXY": "http://proxy:3128"}
DIRECT = "127.0.0.1,localhost,172.30.0.0/24,10.244.0.0/16,10.96.0.0/16,.svc,.cluster.local"

CASES: list[tuple[str, Break, Status, str]] = [
    # row, what is broken, what it says, a part of its words
    ("engine", _silent(DEFAULT, Silence.ABSENT), FIX, "installs docker.io containerd runc iptables"),
    (
        "engine",
        _both(_silent(DEFAULT, Silence.ABSENT), _host(dockerd=Path("/usr/bin/dockerd"))),
        FIX,
        "starts",
    ),
    ("engine", _both(_silent(DEFAULT, Silence.ABSENT), _host(root=False)), BLOCKER, "sudo apt-get install"),
    ("engine", _both(_silent(DEFAULT, Silence.ABSENT), _host(distribution="fedora")), BLOCKER, "docs.docker"),
    ("engine", _silent(DEFAULT, Silence.DENIED), BLOCKER, "usermod -aG docker"),
    ("engine", _silent(DEFAULT, Silence.BROKEN), BLOCKER, "restart it"),
    ("engine", _silent(CHOSEN, Silence.ABSENT), BLOCKER, "unset DOCKER_HOST"),
    (
        "engine",
        _both(
            _silent(DEFAULT, Silence.ABSENT),
            _host(dockerd=Path("/usr/bin/dockerd"), service_manager="systemd"),
        ),
        BLOCKER,
        "systemctl start docker",
    ),
    ("capabilities", _lacking("CAP_SYS_RESOURCE", runtime="runc-bounded"), LIMIT, "takes them out"),
    ("capabilities", _lacking("CAP_SYS_RESOURCE", runtime="runc"), BLOCKER, "runc-bounded to /usr/local"),
    ("capabilities", _lacking("CAP_BPF", runtime="runc", origin=Origin.OURS), BLOCKER, "kill 100"),
    ("capabilities", _lacking("CAP_SYS_ADMIN", runtime="runc-bounded"), BLOCKER, "no node can be started"),
    ("cores", _with(cores=1), LIMIT, "1, at least 2"),
    ("memory", _with(memory_total_bytes=10 * GIB), LIMIT, "too little for profile full"),
    ("memory", _with(memory_total_bytes=3 * GIB), BLOCKER, "at least 4 GiB"),
    ("swap", _with(swap_total_bytes=GIB), LIMIT, "swapoff"),
    (
        "disk.engine",
        _with(disks=(DiskFacts(("engine",), Path("/d"), GIB, 9 * GIB),)),
        BLOCKER,
        "1.0 GiB free",
    ),
    ("cgroup", _with(cgroup_version=1), LIMIT, "v1; Kubernetes 1.34"),
    ("cgroup", _with(cgroup_version=None), BLOCKER, "mount -t cgroup2"),
    ("open-files", _with(nofile_hard=20_000), LIMIT, "20000"),
    ("open-files", _with(nofile_hard=1_024), BLOCKER, "ulimit -H -n"),
    ("inotify", _with(inotify=LOW), FIX, "raises max_user_instances to 1024"),
    (
        "inotify",
        _both(_with(inotify=LOW), _host(root=False)),
        BLOCKER,
        "sudo sysctl fs.inotify.max_user_inst",
    ),
    ("kernel", _kernel(OVERLAY_FS=Option.ABSENT), BLOCKER, "CONFIG_OVERLAY_FS"),
    ("kernel", _kernel(BRIDGE=Option.UNKNOWN), LIMIT, "cannot be read"),
    ("kernel.netem", _kernel(NET_SCH_NETEM=Option.ABSENT), LIMIT, "tc netem"),
    ("kernel.ipvs", _kernel(IP_VS=Option.ABSENT), LIMIT, "IPVS"),
    ("kernel.dummy", _kernel(DUMMY=Option.UNKNOWN), LIMIT, "unknown"),
    ("kernel.nft-queue", _kernel(NFT_QUEUE=Option.ABSENT), LIMIT, "kindnet"),
    ("load", _with(load_1min=80.0), BLOCKER, "10.0 per core"),
    ("clock", _with(clock=ClockFacts(True, 30.0, 0.0)), LIMIT, "jumped by 30.0 s"),
    ("clock", _with(clock=ClockFacts(True, 0.0, 3600.0)), LIMIT, "3600 s in the future"),
    ("clock", _with(clock=ClockFacts(False, 0.0, 0.0)), OK, "nobody synchronises"),
    ("port.http", _port(PortHolder("program nginx", 42, None, ours=False)), BLOCKER, "kill 42"),
    ("port.http", _port(PortHolder("container web", None, "web", ours=False)), BLOCKER, "docker stop web"),
    (
        "port.http",
        _port(PortHolder("a program of another user", None, None, ours=False)),
        BLOCKER,
        "ss -ltnp",
    ),
    ("port.http", _port(PortHolder("container x", None, "x", ours=True)), OK, "ours"),
    ("port.order", _with(ports=(PortFacts("order", 8103, _NGINX),)), LIMIT, "Tilt cannot forward it"),
    ("ranges", _with(ranges_in_use=EVERYTHING), BLOCKER, "a tunnel"),
    ("ranges", _with(ranges_in_use=(RangeUse(IPv4Network("10.244.1.0/24"), "x"),)), OK, "pods 10.214.0.0/16"),
    ("proxy", _with(proxies=PROXY), BLOCKER, "export no_proxy=127.0.0.1,localhost,172.30.0.0/24"),
    ("proxy", _with(proxies={**PROXY, "no_proxy": DIRECT}), OK, "excepted"),
    ("proxy", _with(proxies={**PROXY, "no_proxy": "*"}), OK, "excepted"),
    (
        "proxy",
        _with(proxies={**PROXY, "no_proxy": DIRECT.replace("10.96.", "10.97.")}),
        BLOCKER,
        "10.96.0.0/16",
    ),
    ("localhost", _with(localhost_names=False), OK, "do not resolve"),
    ("localhost", _with(localhost_names=None), OK, "no answer in time"),
    ("kubeconfig", _with(kubeconfig_state=FileState.ABSENT), FIX, "is made"),
    ("kubeconfig", _with(kubeconfig_state=FileState.DENIED), BLOCKER, "chown"),
    ("kubeconfig", _with(kubeconfig_state=FileState.DAMAGED), BLOCKER, "mv /home/dev/.kube/config"),
    ("browser", _with(browser=None), LIMIT, "chromium"),
    (
        "supply.tilt",
        _with(supplies=(SupplyStatus("tilt", "tool", "0.37", "built", False),)),
        FIX,
        "will be made: built",
    ),
    (
        "supply.go",
        _with(supplies=(SupplyStatus("go", "files", "1.26", "built", False, needed=False),)),
        OK,
        "not needed",
    ),
    ("supply.grafana", _with(supplies=(REFUSED,)), LIMIT, "could not be pulled: no route"),
]


def _row(facts: MachineFacts, row_id: str) -> Row:
    return next(row for row in judge(facts) if row.id == row_id)


def test_healthy_machine_has_no_finding(healthy: MachineFacts) -> None:
    assert {row.id: row.status for row in judge(healthy) if row.status is not OK} == {}


@pytest.mark.parametrize(("row_id", "break_it", "status", "words"), CASES, ids=lambda value: str(value)[:30])
def test_row_names_what_is_broken(
    healthy: MachineFacts, row_id: str, break_it: Break, status: Status, words: str
) -> None:
    row = _row(break_it(healthy), row_id)
    assert (row.status, words in f"{row.summary} {row.explanation} {row.cure}") == (status, True), row


@pytest.mark.parametrize(
    ("row_id", "break_it", "status"), [case[:3] for case in CASES], ids=lambda v: str(v)[:30]
)
def test_nothing_but_the_broken_row_changes(
    healthy: MachineFacts, row_id: str, break_it: Break, status: Status
) -> None:
    others = {row.id: row.status for row in judge(break_it(healthy)) if row.id != row_id}
    assert set(others.values()) == {OK}


def test_every_row_has_a_case_that_breaks_it(healthy: MachineFacts) -> None:
    broken = {case[0].partition(".")[0] for case in CASES}
    assert {row.id.partition(".")[0] for row in judge(healthy)} - broken == set()


@pytest.mark.parametrize(
    ("row_id", "break_it", "status"), [case[:3] for case in CASES], ids=lambda v: str(v)[:30]
)
def test_blocker_has_a_cure_and_limit_says_what_it_excludes_or_why(
    healthy: MachineFacts, row_id: str, break_it: Break, status: Status
) -> None:
    row = _row(break_it(healthy), row_id)
    enough = {BLOCKER: bool(row.cure), LIMIT: bool(row.explanation)}
    assert enough.get(row.status, True)


def test_image_is_not_said_to_be_missing_while_no_engine_can_be_asked(healthy: MachineFacts) -> None:
    image = SupplyStatus("kafka", "image", "4.3.1", "built", False)
    silent = dataclasses.replace(healthy, supplies=(image,), engine=Silent(DEFAULT, Silence.ABSENT, "no"))

    assert _row(silent, "supply.kafka").summary == "4.3.1, will be made unless the engine has it: built"


def test_exit_code_is_three_only_for_a_blocker(healthy: MachineFacts) -> None:
    limited = dataclasses.replace(healthy, cores=1)
    blocked = dataclasses.replace(healthy, load_1min=99.0)
    codes = [exit_code_of_rows(judge(facts)) for facts in (healthy, limited, blocked)]
    assert codes == [ExitCode.PASS, ExitCode.PASS, ExitCode.ENVIRONMENT]


def test_report_lists_what_cannot_be_tested(healthy: MachineFacts) -> None:
    facts = _kernel(NET_SCH_NETEM=Option.ABSENT)(dataclasses.replace(healthy, cores=1))
    assert report_record(judge(facts))["excludes"] == ["kernel.netem", "load"]


def test_what_was_left_out_is_excluded(healthy: MachineFacts) -> None:
    assert _row(_with(supplies=(REFUSED,))(healthy), "supply.grafana").excludes == ("grafana",)


def test_every_row_is_explained_in_the_reference(healthy: MachineFacts) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/reference/doctor.md").read_text(encoding="utf-8")
    families = {"disk", "port", "supply"}
    wanted = {
        row.id.partition(".")[0] if row.id.partition(".")[0] in families else row.id for row in judge(healthy)
    }
    documented = {
        line.split("`")[1].partition(".<")[0] for line in page.splitlines() if line.startswith("### `")
    }
    assert documented == wanted
