"""Which cluster each part of the harness works on, and the proof that the ports lead to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rehearsal.chaos.injecting import WORKLOAD_ENTRY
from rehearsal.cli import e2e_assembly, elsewhere, judging_assembly
from rehearsal.cli.composition import Workshop
from rehearsal.cli.e2e_assembly import Options
from rehearsal.cluster import api
from rehearsal.cluster import engine as cluster_engine
from rehearsal.core import catalogue
from rehearsal.core.catalogue import Elsewhere
from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.ledger import undo_all
from rehearsal.core.paths import Paths
from rehearsal.core.timing import Timing
from rehearsal.deploy import preparing
from rehearsal.shop.answers import Answer, Kind
from rehearsal.stages.planning import Request

from tests.chaos.fakes import BROKER, FakeCluster, FakeDatabases, injector_on

ROOT = Path(__file__).resolve().parents[2]
PORTS = {
    "http": 18080,
    "identity": 18180,
    "sandbox": 18190,
    "kafka": 29092,
    "kafka_1": 29192,
    "kafka_2": 29292,
}
PRODUCT = "8c2f"


@pytest.fixture
def own(tmp_path: Path) -> Workshop:
    """A workshop of the project's own cluster, whose catalogue describes `staging`, too."""
    place = Elsewhere(
        registry="registry.example.org/shop", profile="full", timing=Timing.PRODUCTION, ports=PORTS
    )
    known = catalogue.load(ROOT).model_copy(update={"contexts": {"staging": place}})
    shop = Workshop(Paths(ROOT, tmp_path, tmp_path), known, lambda event: None, lambda: None)
    vars(shop)["supplies"] = _supplies()
    return shop


@pytest.fixture
def there(own: Workshop) -> Workshop:
    """The workshop of `staging`."""
    shop = own.at("staging")
    vars(shop)["supplies"] = _supplies()
    return shop


def _supplies() -> Any:
    def nothing(name: str) -> None:
        """Have whatever is asked for."""

    return SimpleNamespace(tool=Path, image=nothing, image_if_to_be_had=nothing, has_optional=nothing)


def test_ports_and_folders_are_those_of_the_context(own: Workshop, there: Workshop) -> None:
    ports = there.catalogue.ports
    assert {name: getattr(ports, name) for name in PORTS} == PORTS
    assert ports.prometheus == own.catalogue.ports.prometheus
    assert there.paths == replace(own.paths, context="staging")
    assert own.at("") is own.at("kind-mambogo") is own


def test_programs_are_told_the_context_and_its_kubeconfig(there: Workshop, own: Workshop) -> None:
    for shop, context in ((there, "staging"), (own, "kind-mambogo")):
        for one in (judging_assembly.postgres_of(shop), judging_assembly.forwarding(shop)):
            assert (one.context, one.kubeconfig) == (context, shop.paths.kubeconfig)
    assert there.paths.kubeconfig != own.paths.kubeconfig


def test_api_is_asked_by_the_context(there: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(api, "_client", lambda *arguments: asked.append(arguments))
    there.api()

    assert asked == [(there.paths.kubeconfig, "staging")]


def test_prepared_is_the_context_s_registry_and_no_volume_of_a_node(
    own: Workshop, there: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    nodes = [SimpleNamespace(name="mambogo-control-plane")]

    class Preparation(preparing.Preparation):
        def run(self, renderer: Any, profile: str) -> None:
            made.append((self.registry, renderer.registry, self.only_node, self.shared, profile))

    engine = SimpleNamespace(nodes=lambda name: nodes)
    monkeypatch.setattr(preparing, "Preparation", Preparation)
    monkeypatch.setattr(cluster_engine, "DockerNodeEngine", lambda docker: engine)
    monkeypatch.setattr(Workshop, "api", lambda shop: None)
    for shop in (own, there):
        vars(shop)["docker"] = None
        shop.prepare()

    (here, *mine), (far, *theirs) = made
    assert (here.name, mine) == (
        "localhost:5001",
        ["localhost:5001", "mambogo-control-plane", False, "light"],
    )
    assert (far.name, theirs) == (
        "registry.example.org/shop",
        ["registry.example.org/shop", None, True, "full"],
    )


def test_place_is_proven_once_in_a_run_elsewhere_and_never_at_home(
    own: Workshop, there: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    stages = {name: lambda room: done.append("judged") for name in ("contract", "load")}
    monkeypatch.setattr(e2e_assembly, "_judging", lambda *arguments: stages)
    monkeypatch.setattr(e2e_assembly, "require_same_shop", lambda shop: done.append("proven"))
    monkeypatch.setattr(Workshop, "require_deployed", lambda shop: done.append("deployed"))
    room: Any = None

    def run(shop: Workshop) -> list[str]:
        done.clear()
        options = Options(Request(), None, None, keep=False, seed=None)
        made = e2e_assembly._stages(shop, options, shop.ledger, room)
        for name in stages:
            made[name](room)
        return list(done)

    assert run(there) == ["deployed", "proven", "judged", "deployed", "judged"]
    assert run(own) == ["deployed", "judged", "deployed", "judged"]


def test_document_is_fetched_past_the_api_server_s_proxy_elsewhere_alone(
    own: Workshop, there: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = SimpleNamespace(get=lambda path: {"by": "proxy"})
    monkeypatch.setattr(Workshop, "api", lambda shop: inside)
    monkeypatch.setattr(
        judging_assembly, "read_inside", lambda shop, service, path: {"by": f"{service}{path}"}
    )

    assert judging_assembly._document(own, "cart-service") == {"by": "proxy"}
    assert judging_assembly._document(there, "cart-service") == {"by": "cart-service/openapi.json"}


@pytest.mark.parametrize(
    ("status", "found"), [(200, {"id": PRODUCT}), (404, None), (503, "does not answer /it: .*503")]
)
def test_service_is_read_by_a_way_to_it(
    there: Workshop, monkeypatch: pytest.MonkeyPatch, status: int, found: Mapping[str, str] | str | None
) -> None:
    way = SimpleNamespace(to=_way)
    monkeypatch.setattr(judging_assembly, "forwarding", lambda shop: way)
    _answers(monkeypatch, lambda request: httpx.Response(status, json={"id": PRODUCT}))

    if isinstance(found, str):
        with pytest.raises(EnvironmentNotReadyError, match=found):
            judging_assembly.read_inside(there, "product-service", "/it")
    else:
        assert judging_assembly.read_inside(there, "product-service", "/it") == found


@contextmanager
def _way(service: str, log: Path) -> Iterator[str]:
    yield f"http://{service}"


def _answers(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    plain = httpx.Client
    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(httpx, "Client", lambda **options: plain(transport=transport, **options))


class Shop:
    """A shop that makes products."""

    async def create_product(self, product: Any) -> Answer:
        return Answer(Kind.OK, 201, {"id": PRODUCT})

    async def set_stock(self, product_id: str, units: int) -> Answer:
        return Answer(Kind.OK, 200, {})

    async def __aenter__(self) -> Shop:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


class Ground:
    """A cluster and what the ports lead to, as far as the proof looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known = True
        self.silent = ""  # the address of a broker of somebody else's
        self.sandbox = 200
        self.booked: list[Mapping[str, str]] = [{"reference": "another"}]
        self.same_books = True
        ground = self

        class Topics:
            def __init__(self, address: str) -> None:
                self.address = address

            def ends(self, topic: str) -> Mapping[int, int]:
                return {0: 7}

            def since(
                self, topic: str, ends: Mapping[int, int], within_seconds: float
            ) -> Iterator[Mapping[str, Any]]:
                assert (topic, ends) == ("products", {0: 7})
                yield {"data": {"product_id": "another"}}
                if self.address != ground.silent:
                    yield {"data": {"product_id": PRODUCT}}

        def read(shop: Workshop, service: str, path: str) -> Mapping[str, str] | None:
            assert (service, path) == ("product-service", f"/api/products/{PRODUCT}")
            return {"id": PRODUCT} if ground.known else None

        def books(shop: Workshop, sandbox_url: str = "") -> Any:
            entries = self.booked if sandbox_url == "http://payment-sandbox" else []
            return SimpleNamespace(
                sandbox_url=sandbox_url or f"http://127.0.0.1:{shop.catalogue.ports.sandbox}",
                ledger=lambda: entries,
            )

        monkeypatch.setattr(elsewhere, "open_shop", lambda shop: Shop())
        monkeypatch.setattr(elsewhere, "Topics", Topics)
        monkeypatch.setattr(elsewhere, "read_inside", read)
        monkeypatch.setattr(elsewhere, "books_of", books)
        monkeypatch.setattr(elsewhere, "forwarding", lambda shop, namespace: SimpleNamespace(to=_way))
        monkeypatch.setattr(elsewhere, "read_credentials", lambda state: {"provider_api_key": "key"})
        _answers(monkeypatch, self._enter)

    def _enter(self, request: httpx.Request) -> httpx.Response:
        assert (request.url.port, request.headers["Authorization"]) == (PORTS["sandbox"], "Bearer key")
        if self.same_books:
            self.booked.append({"reference": request.url.path.split("/")[3]})
        return httpx.Response(self.sandbox)


def test_ports_that_lead_to_the_cluster_are_proven(there: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground(monkeypatch)
    elsewhere.require_same_shop(there)

    assert ground.booked[-1] == {"reference": f"place-{PRODUCT}"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"known": False}, "http://127.0.0.1:18080"),
        ({"silent": "127.0.0.1:29092"}, "127.0.0.1:29092"),
        ({"silent": "127.0.0.1:29292"}, "127.0.0.1:29292"),
        ({"sandbox": 401}, "http://127.0.0.1:18190"),
        ({"same_books": False}, "http://127.0.0.1:18190"),
    ],
)
def test_port_that_leads_to_another_shop_is_named(
    there: Workshop, monkeypatch: pytest.MonkeyPatch, wrong: Mapping[str, Any], named: str
) -> None:
    vars(Ground(monkeypatch)).update(wrong)

    with pytest.raises(EnvironmentNotReadyError) as caught:
        elsewhere.require_same_shop(there)

    assert caught.value.message.startswith(f"{named} leads to another shop than the one of context staging")
    assert "127.0.0.1:18190 to node port 30190" in caught.value.hint


@pytest.mark.parametrize("code", ["TREE_NOT_DEPLOYED", "CLUSTER_ABSENT", "TOKEN_REFUSED", "SHOP_NOT_STOCKED"])
def test_errors_advise_what_helps_on_the_cluster_of_the_context(
    own: Workshop, there: Workshop, code: str
) -> None:
    def hint(shop: Workshop) -> str:
        with pytest.raises(EnvironmentNotReadyError) as caught, elsewhere.advised(shop):
            raise EnvironmentNotReadyError(code, "it is not well", hint="`rehearsal up --ci`")
        return caught.value.hint

    assert hint(own) == "`rehearsal up --ci`"
    assert "`rehearsal e2e --context staging --from deploy`" in hint(there)
    assert ("127.0.0.1:18080 to node port 30080" in hint(there)) == (
        code in ("TOKEN_REFUSED", "SHOP_NOT_STOCKED")
    )


def test_stage_advises_what_helps_on_its_cluster(there: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(shop: Workshop) -> None:
        raise EnvironmentNotReadyError("TREE_NOT_DEPLOYED", "another tree", hint="`rehearsal up --ci`")

    monkeypatch.setattr(e2e_assembly, "_judging", lambda *arguments: {"load": lambda room: None})
    monkeypatch.setattr(Workshop, "require_deployed", refuse)
    room: Any = None
    options = Options(Request(), None, None, keep=False, seed=None)
    with pytest.raises(EnvironmentNotReadyError) as caught:
        e2e_assembly._stages(there, options, there.ledger, room)["load"](room)

    assert "--context staging" in caught.value.hint


def test_system_of_another_cluster_is_in_no_report(own: Workshop, there: Workshop) -> None:
    assert "kube-system" in e2e_assembly._around(own)
    assert list(e2e_assembly._around(there)) == ["mambogo-monitoring"]


@pytest.fixture
def broken(there: Workshop, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """A cluster, `staging` by now, on which a killed run has stopped Kafka."""
    cluster = FakeCluster(looks_until_back=1)
    monkeypatch.setattr(Workshop, "api", lambda shop: cluster)
    monkeypatch.setattr(Workshop, "cluster_identity", lambda shop: "uid-1")
    monkeypatch.setattr(e2e_assembly, "postgres_of", lambda shop: FakeDatabases())
    injector_on(cluster, there.ledger).stop(BROKER)
    return cluster


def _left(shop: Workshop) -> Sequence[str]:
    return [one.what for one in undo_all(shop.ledger, e2e_assembly._undoers(shop), lambda event: None)]


def test_fault_elsewhere_knows_its_cluster_and_is_undone_there(there: Workshop, broken: FakeCluster) -> None:
    (entry,) = there.ledger.entries()
    assert (entry.kind, entry.arguments["cluster"]) == (WORKLOAD_ENTRY, "uid-1")

    assert (_left(there), broken.wanted) == ([], 2)
    assert there.ledger.is_empty


@pytest.mark.parametrize(
    "identity", ["uid-2", EnvironmentNotReadyError("WAIT_TIMEOUT", "no answer", hint="look")]
)
def test_fault_is_never_undone_on_another_cluster_nor_forgotten(
    there: Workshop, broken: FakeCluster, monkeypatch: pytest.MonkeyPatch, identity: str | Exception
) -> None:
    def now(shop: Workshop) -> str:
        if isinstance(identity, Exception):
            raise identity
        return identity

    monkeypatch.setattr(Workshop, "cluster_identity", now)

    assert (_left(there), broken.wanted) == (["kafka, scaled from 2 to 0"], 0)
    assert not there.ledger.is_empty


def test_fault_of_a_repointed_context_says_what_to_do(
    there: Workshop, broken: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workshop, "cluster_identity", lambda shop: "uid-2")

    with pytest.raises(HarnessError) as caught:
        e2e_assembly.undo_what_was_left(there)

    assert str(there.paths.cluster) in caught.value.hint
    assert "rehearsal down" not in caught.value.hint


def test_fault_at_home_has_no_cluster_and_goes_with_it(
    own: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()
    injector_on(cluster, own.ledger).stop(BROKER)
    monkeypatch.setattr(Workshop, "cluster_identity", lambda shop: "")

    assert "cluster" not in own.ledger.entries()[0].arguments
    assert (_left(own), own.ledger.is_empty, cluster.wanted) == ([], True, 0)


def test_nothing_that_is_only_made_at_home_is_undone_elsewhere(own: Workshop, there: Workshop) -> None:
    assert set(e2e_assembly._undoers(there)) == {WORKLOAD_ENTRY}
    assert len(e2e_assembly._undoers(own)) == 3
