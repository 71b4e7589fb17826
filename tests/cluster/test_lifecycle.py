"""`up`, `repair` and `down` on a machine in memory."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from rehearsal.cluster import kubeconfig, record
from rehearsal.cluster.facts import ContainerState, NetworkFacts
from rehearsal.cluster.plan import ClusterSpec
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.core.events import Notice, Outcome
from rehearsal.core.timing import Timing
from rehearsal.core.waiting import WaitTimeoutError

from tests.cluster.fakes import FakeApi, context_of
from tests.cluster.ground import RANGES, USERS_OWN, Ground, planned
from tests.cluster.machine import KIND_CLUSTER_LABEL

NODES = planned().node_names
REGISTRY = planned().registry_container


def _foreign_cluster(ground: Ground) -> None:
    """Put a kind cluster of our name on kind's own network, as a user makes it by hand."""
    machine = ground.machine
    machine.networks["kind"] = NetworkFacts("kind", IPv4Network("172.18.0.0/16"), {})
    labels = {KIND_CLUSTER_LABEL: planned().name}
    machine.start(machine.create(NODES[0], image="kindest/node", labels=labels, network="kind"))


def test_up_on_an_empty_machine_makes_a_whole_cluster(ground: Ground) -> None:
    ground.up()

    assert ground.flaws() == []


def test_record_names_who_brought_the_cluster_up_last(ground: Ground) -> None:
    ground.clusters.up(planned(), maker="run 1")
    made = record.load(ground.paths.state)
    assert made is not None
    assert made.maker == "run 1"

    ground.up()
    mended = record.load(ground.paths.state)
    assert mended is not None
    assert mended.maker == ""


def test_new_cluster_is_not_kept_waiting_for_its_first_metrics(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeApi, "get", lambda self, path: None)

    ground.up()

    assert [one.message for one in ground.seen if isinstance(one, Notice)] == [
        "metrics have first values in 30 s"
    ]


def test_cluster_that_has_been_whole_is_not_whole_without_metrics(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.up()
    monkeypatch.setattr("rehearsal.cluster.lifecycle._ADDONS_READY_SECONDS", 0.0)
    monkeypatch.setattr(FakeApi, "get", lambda self, path: None)

    with pytest.raises(WaitTimeoutError, match=r"not ready: metrics\.k8s\.io"):
        ground.up()


def test_up_again_changes_nothing(ground: Ground) -> None:
    ground.up()

    assert ground.changed_by_up() == []


def test_up_again_says_that_nothing_had_to_be_done(ground: Ground) -> None:
    ground.up()
    ground.seen.clear()
    ground.up()

    assert {name for name, outcome in ground.outcomes().items() if outcome is Outcome.DONE} == {
        "add-ons ready"
    }


def test_up_again_keeps_the_ranges_of_the_cluster_that_is_there(ground: Ground) -> None:
    ground.up()

    ground.up(planned(ranges=replace(RANGES, docker=IPv4Network("10.213.0.0/24"))))

    assert ground.flaws() == []


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("harm", ["stop", "pause"])
def test_node_that_was_stopped_or_paused_is_mended(ground: Ground, node: str, harm: str) -> None:
    ground.up()
    getattr(ground.machine, harm)(node)

    ground.clusters.repair()

    assert ground.flaws() == []


@pytest.mark.parametrize("node", NODES)
def test_what_a_node_said_before_it_was_stopped_is_not_taken_for_its_state(ground: Ground, node: str) -> None:
    ground.up()
    ground.machine.stop(node)
    ground.machine.late_kubelets = 3

    ground.up()

    assert ground.machine.containers[node].silent_looks == 0


def test_all_nodes_stopped_are_mended(ground: Ground) -> None:
    ground.up()
    for name in (*NODES, REGISTRY):
        ground.machine.stop(name)

    ground.up()

    assert ground.flaws() == []


def test_addresses_outlive_a_restart_of_the_engine(ground: Ground) -> None:
    ground.up()
    ground.machine.restart_engine()

    assert ground.flaws() == []


def test_addresses_swapped_by_a_restart_of_the_engine_are_put_right(ground: Ground) -> None:
    ground.up()
    for name in NODES:
        ground.machine.containers[name].links[planned().network].pinned = None
    ground.machine.restart_engine()
    assert ground.flaws()

    ground.up()

    assert ground.flaws() == []


def test_registry_that_was_removed_is_made_again(ground: Ground) -> None:
    ground.up()
    ground.machine.delete(REGISTRY)

    ground.up()

    assert ground.flaws() == []


@pytest.mark.parametrize(
    "name",
    [
        ("kube-system", "kube-state-metrics"),
        ("kube-system", "metrics-server"),
        ("local-path-storage", "local-path-provisioner"),
    ],
)
def test_add_on_that_was_deleted_is_applied_again(ground: Ground, name: tuple[str, str]) -> None:
    ground.up()
    del ground.machine.kubernetes[planned().name].applied["Deployment", *name]

    ground.up()

    assert ground.flaws() == []


def test_cluster_that_lost_its_control_plane_is_made_anew_and_says_so(ground: Ground) -> None:
    ground.up()
    ground.machine.delete(NODES[0])

    ground.up()

    assert ground.flaws() == []
    assert ground.warnings() == [f"the cluster is made anew: {NODES[0]} is gone"]


def test_cluster_of_which_nothing_is_left_is_made_anew_and_says_so(ground: Ground) -> None:
    ground.up()
    for node in NODES:
        ground.machine.delete(node)

    ground.up()

    assert ground.flaws() == []
    assert ground.warnings() == ["the cluster is made anew: no node container is there"]


def test_first_cluster_is_not_made_anew(ground: Ground) -> None:
    ground.up()
    ground.down()
    ground.up()

    assert ground.warnings() == []


@pytest.mark.parametrize("work", ["up", "repair"])
@pytest.mark.parametrize("lost", [NODES[1:2], NODES[2:], NODES[1:]], ids=" ".join)
def test_worker_that_was_deleted_joins_again_and_the_rest_stays(
    ground: Ground, lost: tuple[str, ...], work: str
) -> None:
    ground.up()
    before = {one.name: one.id for one in ground.machine.containers.values()}
    for node in lost:
        ground.machine.delete(node)

    ground.up() if work == "up" else ground.clusters.repair()

    assert ground.flaws() == []
    after = {one.name: one.id for one in ground.machine.containers.values()}
    assert {name for name in before if before[name] != after[name]} == set(lost)
    assert ground.warnings() == [
        f"{', '.join(lost)} is gone and joins the cluster anew; volumes that were on it are lost"
    ]


def test_worker_that_the_cluster_does_not_know_is_made_anew(ground: Ground) -> None:
    ground.up()
    del ground.machine.kubernetes[planned().name].members[NODES[1]]

    ground.up()

    assert ground.flaws() == []


def test_worker_that_cannot_be_started_is_made_anew(ground: Ground) -> None:
    ground.up()
    ground.machine.stop(NODES[1])
    ground.machine.containers[NODES[1]].state = ContainerState.DEAD

    ground.up()

    assert ground.flaws() == []


def test_guard_that_is_gone_is_put_back(ground: Ground) -> None:
    ground.up()
    ground.machine.containers[NODES[1]].guarded = False

    ground.clusters.repair()

    assert ground.machine.containers[NODES[1]].guarded


def test_cluster_without_its_record_is_made_anew(ground: Ground) -> None:
    ground.up()
    record.forget(ground.paths.state)

    ground.up()

    assert ground.flaws() == []


def test_node_that_dies_while_the_cluster_is_made_is_named_and_the_next_up_succeeds(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(ground.clusters.kind)
    create = kind.create

    def create_and_lose_a_node(*args: object, **keywords: object) -> None:
        create(*args, **keywords)  # type: ignore[arg-type]  # passed on as they came
        ground.machine.stop(NODES[1])

    with monkeypatch.context() as patch:
        patch.setattr(kind, "create", create_and_lose_a_node)
        with pytest.raises(EnvironmentNotReadyError, match=f"^{NODES[1]} ended as soon"):
            ground.up()
    ground.up()

    assert ground.flaws() == []


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (planned("light"), "made with profile full, not light"),
        (planned("full", Timing.COMPRESSED), "made with timing production, not compressed"),
        (replace(planned(), registry_port=5002), "changed since it was made: registry_port"),
        (replace(planned(), egress=True), "changed since it was made: egress"),
    ],
)
def test_other_cluster_is_refused_with_the_command_that_replaces_it(
    ground: Ground, other: ClusterSpec, reason: str
) -> None:
    ground.up()
    before = list(ground.machine.changes)

    with pytest.raises(ConfigurationError, match=reason) as caught:
        ground.up(other)

    assert "rehearsal cluster down && rehearsal cluster up --profile" in caught.value.hint
    assert ground.machine.changes == before


def test_second_name_is_refused_while_the_first_is_there(ground: Ground) -> None:
    ground.up()

    with pytest.raises(ConfigurationError, match="its name is 'mambogo', not 'second'"):
        ground.up(replace(planned(), name="second"))


@pytest.mark.parametrize("work", ["up", "down"])
def test_foreign_cluster_of_the_same_name_is_not_touched(ground: Ground, work: str) -> None:
    _foreign_cluster(ground)

    with pytest.raises(EnvironmentNotReadyError, match="did not make") as caught:
        getattr(ground, work)()

    assert caught.value.code == "CLUSTER_FOREIGN"
    assert ground.machine.changes == []


@pytest.mark.parametrize("work", ["up", "down"])
def test_foreign_cluster_beside_a_network_that_we_left_is_not_touched(ground: Ground, work: str) -> None:
    assert ground.killed_at(2, "up")
    assert (list(ground.machine.containers), list(ground.machine.networks)) == ([], [planned().network])
    _foreign_cluster(ground)

    with pytest.raises(EnvironmentNotReadyError, match="did not make"):
        getattr(ground, work)()

    assert NODES[0] in ground.machine.containers


def test_foreign_network_of_the_same_name_is_not_touched(ground: Ground) -> None:
    network = NetworkFacts(planned().network, RANGES.docker, {})
    ground.machine.networks[network.name] = network

    with pytest.raises(EnvironmentNotReadyError, match="did not make"):
        ground.up()

    assert ground.machine.changes == []


def test_own_network_with_an_old_range_is_made_anew(ground: Ground) -> None:
    ground.up(planned(ranges=replace(RANGES, docker=IPv4Network("10.213.0.0/24"))))
    for name in NODES:
        ground.machine.delete(name)

    ground.up()

    assert ground.flaws() == []


def test_down_leaves_nothing(ground: Ground) -> None:
    ground.up()

    assert ground.down()
    assert ground.remains() == []


def test_down_on_an_empty_machine_says_that_nothing_was_there(ground: Ground) -> None:
    assert not ground.down()
    assert ground.machine.changes == []


def test_down_keeps_the_images_of_the_registry(ground: Ground) -> None:
    ground.up()

    ground.clusters.down(planned())

    assert ground.machine.volumes == {REGISTRY}


def test_down_leaves_what_others_made(ground: Ground) -> None:
    ground.up()
    machine = ground.machine
    machine.networks["bridge"] = NetworkFacts("bridge", IPv4Network("172.17.0.0/16"), {})
    machine.start(machine.create("postgres", image="postgres", labels={}, network="bridge"))
    other = {KIND_CLUSTER_LABEL: "mambogo2"}
    machine.start(machine.create("mambogo2-control-plane", image="node", labels=other, network="bridge"))

    ground.down()

    assert set(machine.containers) == {"postgres", "mambogo2-control-plane"}
    assert set(machine.networks) == {"bridge"}


def test_down_removes_the_cluster_that_is_there_whatever_is_configured_now(ground: Ground) -> None:
    ground.up()

    ground.down(replace(planned("light"), name="second"))

    assert ground.remains() == []


def test_repair_without_a_cluster_is_refused(ground: Ground) -> None:
    with pytest.raises(EnvironmentNotReadyError) as caught:
        ground.clusters.repair()

    assert caught.value.code == "CLUSTER_ABSENT"


def test_repair_of_a_cluster_that_lost_its_control_plane_is_refused(ground: Ground) -> None:
    ground.up()
    ground.machine.delete(NODES[0])

    with pytest.raises(EnvironmentNotReadyError, match=f"{NODES[0]} is gone") as caught:
        ground.clusters.repair()

    assert caught.value.code == "CLUSTER_BEYOND_REPAIR"
    assert NODES[1] in ground.machine.containers


def test_current_context_of_the_user_stays(ground: Ground) -> None:
    ground.up()

    assert kubeconfig.read(ground.users_file)["current-context"] == "office"


def test_current_context_is_changed_when_asked(ground: Ground) -> None:
    ground.clusters.up(planned(), use_context=True)

    assert kubeconfig.read(ground.users_file)["current-context"] == "kind-mambogo"


def test_current_context_outlives_a_cluster_made_anew(ground: Ground) -> None:
    ground.clusters.up(planned(), use_context=True)
    ground.machine.delete(NODES[0])
    ground.up()

    assert kubeconfig.read(ground.users_file)["current-context"] == "kind-mambogo"


@pytest.mark.parametrize("damaged", [b"clusters:\n-", b"clusters: [", b"\xff\xfe", b"- 1\n", b"users: 7\n"])
@pytest.mark.parametrize("work", ["up", "down"])
def test_kubeconfig_of_the_user_that_is_damaged_is_left_alone(
    ground: Ground, work: str, damaged: bytes
) -> None:
    if work == "down":
        ground.up()
    ground.users_file.write_bytes(damaged)

    getattr(ground, work)()

    assert ground.users_file.read_bytes() == damaged
    assert [one for one in ground.warnings() if f"{ground.users_file} is left alone" in one]


def test_context_of_the_same_name_that_is_somebody_else_s_is_left_alone(ground: Ground) -> None:
    theirs = context_of(planned().context, "authority-of-another-machine")
    kubeconfig.write(ground.users_file, theirs)

    ground.up()
    ground.down()

    assert kubeconfig.read(ground.users_file) == theirs
    assert "somebody else's" in ground.warnings()[0]


def test_own_kubeconfig_that_was_damaged_is_written_anew(ground: Ground) -> None:
    ground.up()
    ground.paths.kubeconfig.write_text("clusters:\n-", encoding="utf-8")

    ground.up()

    assert ground.flaws() == []


def test_kubeconfig_of_the_user_may_be_our_own(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{ground.paths.kubeconfig}:{ground.users_file}")

    ground.up()

    assert kubeconfig.read(ground.users_file) == USERS_OWN


def test_node_that_boots_too_slowly_is_made_anew_once_and_said(ground: Ground) -> None:
    ground.machine.slow_boots = 1

    ground.up()

    assert ground.flaws() == []
    assert [one for one in ground.warnings() if one.startswith("ENVIRONMENT: ") and "made anew, once" in one]


def test_node_that_is_too_slow_twice_ends_up_and_the_next_one_finishes(ground: Ground) -> None:
    ground.machine.slow_boots = 2

    with pytest.raises(EnvironmentNotReadyError) as caught:
        ground.up()
    ground.up()

    assert (caught.value.code, ground.flaws()) == ("NODE_BOOT_TIMEOUT", [])


def test_requests_that_a_busy_api_server_does_not_answer_in_time_are_made_again(ground: Ground) -> None:
    ground.machine.late_answers = 3

    ground.up()

    assert (ground.flaws(), ground.machine.late_answers) == ([], 0)
