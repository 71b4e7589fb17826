"""`rehearsal.toml`: what is wrong with it is said with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rehearsal.core.catalogue import load
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.paths import CATALOGUE_FILE
from rehearsal.core.timing import Timing
from rehearsal.core.verdicts import ExitCode

CHECKOUT = Path(__file__).resolve().parents[2]
COMMITTED = (CHECKOUT / CATALOGUE_FILE).read_text(encoding="utf-8")


def _refusal(folder: Path, text: str | bytes) -> ConfigurationError:
    """Return the error with which a catalogue of this text is refused."""
    raw = text if isinstance(text, bytes) else text.encode()
    (folder / CATALOGUE_FILE).write_bytes(raw)
    with pytest.raises(ConfigurationError) as caught:
        load(folder)
    return caught.value


def _changed(old: str, new: str) -> str:
    """Return the committed catalogue with one text replaced."""
    assert COMMITTED.count(old) == 1, f"{old!r} is not there once: the test is out of date"
    return COMMITTED.replace(old, new)


def test_committed_catalogue_is_valid() -> None:
    catalogue = load(CHECKOUT)

    assert set(catalogue.profiles) == {"light", "standard", "full"}
    assert set(catalogue.timings) == set(Timing)


def test_brokers_of_a_profile_have_the_first_ports() -> None:
    catalogue = load(CHECKOUT)

    assert catalogue.brokers("light") == catalogue.brokers("standard") == ("kafka",)
    assert catalogue.brokers("full") == ("kafka", "kafka_1", "kafka_2")


def test_port_of_a_broker_follows_from_its_number(tmp_path: Path) -> None:
    (tmp_path / CATALOGUE_FILE).write_text(
        re.sub(r"^(kafka\w*) = 19(\d)92", r"\1 = 2555\2", COMMITTED, flags=re.MULTILINE), encoding="utf-8"
    )

    assert load(CHECKOUT).ports.of_broker == "19{}92"
    assert load(tmp_path).ports.of_broker == "2555{}"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        pytest.param("[limits]\n", "[limits]\nmin_cores = 2\n", "limits.min_cores", id="unknown-key"),
        pytest.param("[limits]\n", "[colours]\n", "colours", id="unknown-table"),
        pytest.param("[limits]\n", "[colours]\n", "limits: Field required", id="missing-table"),
        pytest.param("http = 8080", 'http = "8080"', "ports.http", id="port-as-text"),
        pytest.param("http = 8080", "http = 80800", "ports.http", id="port-out-of-range"),
        pytest.param("http = 30080", "http = 8080", "node_ports.http", id="node-port-out-of-range"),
        pytest.param(
            "min_free_disk_gib = 12 ", 'min_free_disk_gib = "12"', "min_free_disk_gib", id="limit-as-text"
        ),
        pytest.param(
            "min_inotify_watches = 131072", "min_inotify_watches = 0", "min_inotify_watches", id="limit-0"
        ),
        pytest.param('kind = "0.31.0"', 'kind = "v0.31.0"', "versions.kind", id="version-with-v"),
        pytest.param('name = "mambogo"', 'name = "Mambogo"', "cluster.name", id="cluster-name-in-capitals"),
        pytest.param('["172.30.0.0/24"', '["172.30.0.300/24"', "network.docker_subnets.0", id="no-range"),
        pytest.param('["172.30.0.0/24"', '["172.30.0.7/24"', "network.docker_subnets.0", id="host-in-range"),
        pytest.param("workers = 2", "workers = 2.0", "profiles.full.workers", id="workers-as-float"),
        pytest.param("brokers = 3", "brokers = 4", "profiles.full.brokers", id="more-brokers-than-ports"),
        pytest.param("brokers = 3", "brokers = 0", "profiles.full.brokers", id="no-broker"),
        pytest.param(
            "kafka_1 = 19192",
            "kafka_1 = 19093",
            "ports: Value error, kafka, kafka_1, kafka_2 must differ in one digit only, 0, 1 and 2",
            id="brokers-that-are-not-numbered",
        ),
        pytest.param("workers = 2", "workers = 9", "profiles.full.workers", id="too-many-workers"),
        pytest.param(
            'workers = 2\ntiming = "production"',
            'workers = 2\ntiming = "fast"',
            "profiles.full.timing",
            id="timing",
        ),
        pytest.param(
            "metrics_resolution_seconds = 10",
            "metrics_resolution_seconds = 5",
            "timings.compressed.metrics_resolution_seconds",
            id="resolution-that-metrics-server-refuses",
        ),
        pytest.param(
            'default_profile = "light"',
            'default_profile = "huge"',
            "cluster.default_profile",
            id="default-profile",
        ),
        pytest.param(
            "http = 8080", "http = 5001", "ports: registry and http are both 5001", id="ports-twice"
        ),
        pytest.param(
            "http = 30080", "http = 30443", "node_ports: http and https are both 30443", id="node-ports-twice"
        ),
        pytest.param("[timings.compressed]", "[timings.quick]", "timings.quick", id="unknown-timing"),
    ],
)
def test_bad_value_is_named_with_its_place(tmp_path: Path, old: str, new: str, place: str) -> None:
    error = _refusal(tmp_path, _changed(old, new))

    assert error.code == "CATALOGUE_INVALID"
    assert place in error.message


def test_missing_timing_is_named(tmp_path: Path) -> None:
    error = _refusal(tmp_path, COMMITTED[: COMMITTED.index("[timings.compressed]")])

    assert "timings: compressed missing" in error.message


def test_each_of_several_mistakes_is_named(tmp_path: Path) -> None:
    error = _refusal(tmp_path, _changed("http = 8080\nhttps = 8443", 'http = ""\nhttps = 0'))

    assert "ports.http:" in error.message
    assert "ports.https:" in error.message


def test_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    error = _refusal(tmp_path, "[cluster]\nname = \n")

    assert error.code == "CATALOGUE_SYNTAX"
    assert "line 2" in error.message


def test_file_that_is_not_text_is_unreadable(tmp_path: Path) -> None:
    assert _refusal(tmp_path, b"name = '\xff\xfe'").code == "CATALOGUE_UNREADABLE"


def test_absent_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        load(tmp_path)

    assert caught.value.code == "CATALOGUE_UNREADABLE"


def test_bad_catalogue_is_a_usage_error(tmp_path: Path) -> None:
    assert _refusal(tmp_path, "").exit_code is ExitCode.USAGE


def test_unknown_profile_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match="'huge'") as caught:
        load(CHECKOUT).profile("huge")

    assert caught.value.hint == "Profiles in rehearsal.toml: light, standard, full."


STAGING = """
[contexts.staging]
registry = "registry.example.org/mambogo"
profile = "light"
timing = "production"
ports = { http = 18080, identity = 18180, sandbox = 18190, kafka = 29092, kafka_1 = 29192, kafka_2 = 29292 }
"""


def test_another_cluster_has_the_ports_that_it_names_and_else_the_usual_ones(tmp_path: Path) -> None:
    (tmp_path / CATALOGUE_FILE).write_text(COMMITTED + STAGING, encoding="utf-8")
    catalogue = load(tmp_path)

    ports = catalogue.ports_at("staging")

    assert (ports.http, ports.of_broker, ports.prometheus) == (18080, "29{}92", catalogue.ports.prometheus)
    assert catalogue.elsewhere("staging").registry == "registry.example.org/mambogo"
    assert catalogue.elsewhere("staging").kubeconfig is None


@pytest.mark.parametrize(
    "name", ["localhost/shop", "localhost:5000", "office:5000/shop", "10.0.0.1:5000/a/b"]
)
def test_registry_of_another_cluster_is_named_with_its_host(tmp_path: Path, name: str) -> None:
    text = STAGING.replace("registry.example.org/mambogo", name)
    (tmp_path / CATALOGUE_FILE).write_text(COMMITTED + text, encoding="utf-8")

    assert load(tmp_path).elsewhere("staging").registry == name


def test_kubeconfig_of_another_cluster_may_be_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    text = STAGING.replace("profile", 'kubeconfig = "~/.kube/staging"\nprofile')
    (tmp_path / CATALOGUE_FILE).write_text(COMMITTED + text, encoding="utf-8")

    assert load(tmp_path).elsewhere("staging").kubeconfig == Path("/home/somebody/.kube/staging")


def test_cluster_that_nobody_described_may_not_be_used() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(CHECKOUT).elsewhere("production")

    assert caught.value.code == "CONTEXT_NOT_ALLOWED"
    assert "[contexts.production]" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("staging]", "kind-mambogo]", "kind-mambogo is the project's own cluster"),
        ('"light"', '"huge"', "contexts.staging.profile: no profile 'huge'"),
        ("http = 18080, ", "", "contexts.staging.ports: http missing"),
        ("sandbox = 18190, ", "", "contexts.staging.ports: sandbox missing"),
        ("kafka_1 = 29192, ", "", "contexts.staging.ports: kafka_1 missing"),
        ("http = 18080", "http = 18080, edge = 1", "contexts.staging.ports: there is no port edge"),
        ("http = 18080", "http = 18180", "contexts.staging.ports: http and identity are both 18180"),
        ("kafka_2 = 29292", "kafka_2 = 29293", "must differ in one digit only"),
        ("http = 18080", "http = 0", "contexts.staging.ports.http"),
        ("registry.example.org/mambogo", "https://registry.example.org", "contexts.staging.registry"),
        ("registry.example.org/mambogo", "mambogo/shop", "contexts.staging.registry"),
        ("registry.example.org/mambogo", "registry", "contexts.staging.registry"),
        ("http = 18080", "http = 8080", "contexts.staging.ports: http is 8080, which is ports.http"),
        ("sandbox = 18190", "sandbox = 9090", "contexts.staging.ports: sandbox is 9090, which is ports.prom"),
        ("profile =", 'kubeconfig = "kube/config"\nprofile =', "kube/config would be another file"),
        ("[contexts.staging]", '[contexts.".."]', "contexts"),
        ("registry =", "registri =", "contexts.staging.registri"),
    ],
)
def test_what_is_wrong_with_another_cluster_is_said_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert STAGING.count(old) == 1

    assert said in _refusal(tmp_path, COMMITTED + STAGING.replace(old, new)).message
