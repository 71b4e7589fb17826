"""Go: which toolchain is taken, and a real build of a small module."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from rehearsal.core import catalogue
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.supply import golang
from rehearsal.supply.golang import GoOnPath, GoRecipe, Target, Toolchain, default_name
from rehearsal.supply.inventory import kubernetes_recipe, kubernetes_stamps

from tests.supply.fakes import make_supplies

ROOT = Path(__file__).parents[2]


def fake_go(folder: Path, answer: str) -> str:
    folder.mkdir()
    (folder / "go").write_text(f"#!/bin/sh\necho '{answer}'\n")
    (folder / "go").chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("answer", ["go version go1.26.0 linux/amd64", "go version go1.27.3 linux/arm64"])
def test_a_new_enough_go_on_path_is_taken(tmp_path: Path, answer: str) -> None:
    assert golang.on_path(fake_go(tmp_path / "bin", answer)) is not None


@pytest.mark.parametrize(
    "answer", ["go version go1.19.8 linux/amd64", "go version devel linux/amd64", "Go, the game"]
)
def test_an_old_or_strange_go_is_not(tmp_path: Path, answer: str) -> None:
    assert golang.on_path(fake_go(tmp_path / "bin", answer)) is None


def test_without_go_on_path_the_toolchain_is_a_supply() -> None:
    assert Toolchain(None).needs == ("go",)
    assert Toolchain(GoOnPath(Path("/usr/bin/go"), "1.26.8")).needs == ()


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("k8s.io/kube-state-metrics/v2", "kube-state-metrics"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("sigs.k8s.io/kind", "kind"),
    ],
)
def test_a_programs_default_name_skips_the_major_version(package: str, name: str) -> None:
    assert default_name(package) == name


def small_module(folder: Path, body: str) -> Path:
    (folder / "cmd" / "tool").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.test/small\n\ngo 1.21\n")
    (folder / "cmd" / "tool" / "main.go").write_text(body)
    return folder


_BODY = 'package main\n\nvar version = "unset"\n\nfunc main() { println(version) }\n'


def recipe(module: Path, present: GoOnPath) -> GoRecipe:
    target = Target({"example.test/small/cmd/tool": "renamed"}, {"main.version": "v9"})
    return GoRecipe("small", "9", module, (target,), Toolchain(present), 0)


@pytest.fixture
def go() -> GoOnPath:
    found = golang.on_path(os.environ.get("PATH", ""))
    if found is None:
        pytest.skip("this machine has no Go on PATH")
    return found


def test_a_module_is_built_stamped_and_its_program_renamed(tmp_path: Path, go: GoOnPath) -> None:
    module = small_module(tmp_path / "module", _BODY)
    program = make_supplies(tmp_path, files=(recipe(module, go),)).files("small") / "bin" / "renamed"
    assert subprocess.run([program], capture_output=True, check=True).stderr == b"v9\n"


def test_a_changed_source_file_is_another_key(tmp_path: Path, go: GoOnPath) -> None:
    module = small_module(tmp_path / "module", _BODY)
    before = make_supplies(tmp_path, files=(recipe(module, go),)).wanted("small").key
    (module / "cmd" / "tool" / "main.go").write_text(_BODY.replace("unset", "other"))
    assert make_supplies(tmp_path, files=(recipe(module, go),)).wanted("small").key != before


def test_another_toolchain_is_another_key(tmp_path: Path) -> None:
    module = small_module(tmp_path / "module", _BODY)
    keys = {
        make_supplies(tmp_path, files=(recipe(module, GoOnPath(Path("/go"), version)),)).wanted("small").key
        for version in ("1.26.8", "1.27.0")
    }
    assert len(keys) == 2


def test_source_that_does_not_compile_is_an_error_with_its_line(tmp_path: Path, go: GoOnPath) -> None:
    module = small_module(tmp_path / "module", "package main\n\nfunc main() { undefinedName() }\n")
    with pytest.raises(EnvironmentNotReadyError, match="undefined: undefinedName"):
        make_supplies(tmp_path, files=(recipe(module, go),)).files("small")


def test_a_module_that_go_sum_does_not_know_is_refused(tmp_path: Path, go: GoOnPath) -> None:
    module = small_module(
        tmp_path / "module", 'package main\n\nimport _ "k8s.io/klog/v2"\n\nfunc main() {}\n'
    )
    (module / "go.mod").write_text(
        "module example.test/small\n\ngo 1.21\n\nrequire k8s.io/klog/v2 v2.130.1\n"
    )
    with pytest.raises(EnvironmentNotReadyError, match=r"missing go\.sum entry"):
        make_supplies(tmp_path, files=(recipe(module, go),)).files("small")


def _pin(module: str, package: str) -> str:
    text = (ROOT / "kind" / "toolchain" / module / "go.mod").read_text()
    found = re.search(rf"^(?:require )?\s*{re.escape(package)} v(\S+)", text, re.MULTILINE)
    assert found, f"{package} is not in kind/toolchain/{module}/go.mod"
    return found[1]


def test_the_wrapper_modules_pin_what_the_catalogue_says() -> None:
    versions = catalogue.load(ROOT).versions
    assert {
        "kubernetes": _pin("kubernetes", "k8s.io/kubernetes"),
        "kind": _pin("kubernetes", "sigs.k8s.io/kind"),
        "etcd": _pin("kubernetes", "go.etcd.io/etcd/server/v3"),
        "cri_tools": _pin("kubernetes", "sigs.k8s.io/cri-tools"),
        "metrics_server": _pin("kubernetes", "sigs.k8s.io/metrics-server"),
        "kube_state_metrics": _pin("kubernetes", "k8s.io/kube-state-metrics/v2"),
        "local_path_provisioner": _pin("kubernetes", "github.com/rancher/local-path-provisioner"),
        "coredns": _pin("coredns", "github.com/coredns/coredns"),
        "tilt": _pin("tilt", "github.com/tilt-dev/tilt"),
        # Its module says 0.315.1 of what everybody calls 3.15.1.
        "prometheus": re.sub(
            r"^0\.(\d)(\d+)", r"\1.\2", _pin("prometheus", "github.com/prometheus/prometheus")
        ),
        "otelcol": _pin("otelcol", "go.opentelemetry.io/collector/otelcol"),
        "victoria_logs": _pin("victoria-logs", "github.com/VictoriaMetrics/VictoriaMetrics"),
    } == versions.model_dump(exclude={"pause", "debian"})


def test_no_committed_module_leaves_a_hash_to_the_checksum_database() -> None:
    for module in ("kubernetes", "coredns", "prometheus", "otelcol", "victoria-logs"):
        folder = ROOT / "kind" / "toolchain" / module
        known = {tuple(line.split()[:2]) for line in (folder / "go.sum").read_text().splitlines()}
        wanted = set(
            re.findall(
                r"^\s*(?:require )?(\S+\.\S+/\S+) (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE
            )
        )
        replaced = set(re.findall(r"^\s*(\S+) => ", (folder / "go.mod").read_text(), re.MULTILINE))
        missing = {
            one for one in wanted if one[0] not in replaced and (one[0], f"{one[1]}/go.mod") not in known
        }
        assert missing == set()


def test_coredns_has_every_plugin_that_a_corefile_of_ours_or_of_kubeadm_names() -> None:
    program = (ROOT / "kind" / "toolchain" / "coredns" / "main.go").read_text()
    built = set(re.findall(r"coredns/plugin/(\w+)", program))
    manifest = (ROOT / "kind" / "addons" / "coredns.yaml").read_text()
    corefile = re.search(r"Corefile: \|\n(.*?)^---", manifest, re.DOTALL | re.MULTILINE)
    assert corefile
    named = set(re.findall(r"^ {8}(\w+)", corefile[1], re.MULTILINE)) - {"prometheus"}
    assert named >= {"errors", "health", "kubernetes", "reload"}
    # `prometheus` is the package metrics; outside_names() answers by template or forward, kubeadm adds loop.
    assert named | {"metrics", "template", "forward", "loop"} <= built


def test_each_program_says_its_own_version(tmp_path: Path) -> None:
    versions = catalogue.load(ROOT).versions
    targets = kubernetes_recipe(tmp_path, versions, Toolchain(None)).targets
    stamped = {
        name: target.stamps.get("k8s.io/component-base/version.gitVersion")
        for target in targets
        for name in target.packages.values()
    }
    assert stamped["kubelet"] == f"v{versions.kubernetes}"
    assert stamped["metrics-server"] == f"v{versions.metrics_server}"
    assert kubernetes_stamps("v1.34.4")["k8s.io/component-base/version.gitMinor"] == "34"
