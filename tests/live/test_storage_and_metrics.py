"""Volumes, metrics and the HPA on the live cluster."""

from __future__ import annotations

import pytest
from rehearsal.cluster.record import Record
from rehearsal.core.timing import Timing
from rehearsal.core.waiting import NotYet, wait_until

from tests.live.bench import Bench

pytestmark = pytest.mark.cluster

_SCALE_SECONDS = 240.0


def test_a_volume_keeps_what_uid_65534_wrote_after_its_pod(bench: Bench) -> None:
    claim = {
        "metadata": {"name": "kept"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Mi"}}},
    }
    bench.core.create_namespaced_persistent_volume_claim(bench.namespace, claim)
    bench.run("writer", "id -u > /data/kept", claim="kept")
    assert bench.run("reader", "cat /data/kept", claim="kept") == "65534\n"


@pytest.mark.timeout(600)
def test_the_hpa_scales_a_busy_deployment_up_and_back(bench: Bench, made: Record) -> None:
    if made.spec.timing is not Timing.COMPRESSED:
        pytest.skip("takes ten minutes with production timing: nox -s up -- --ci --timing compressed")
    # A byte buys half a minute of CPU; a probe connects and says nothing.
    bench.serve(
        "busy",
        "$s=IO::Socket::INET->new(LocalPort=>8000,Listen=>99,ReuseAddr=>1) or die; $SIG{CHLD}='IGNORE';"
        "while($c=$s->accept){next if fork; sysread($c,$b,1) or exit; $e=time+30; while(time<$e){$x++} exit}",
        cpu="50m",
    )
    hpa = {
        "metadata": {"name": "busy"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        },
    }
    bench.autoscaling.create_namespaced_horizontal_pod_autoscaler(bench.namespace, hpa)
    bench.run("load", "for i in 1 2 3; do echo x > /dev/tcp/busy/80; done")
    _await_replicas(bench, 3)
    _await_replicas(bench, 1)


def _await_replicas(bench: Bench, wanted: int) -> None:
    def reached() -> bool:
        found = bench.autoscaling.read_namespaced_horizontal_pod_autoscaler("busy", bench.namespace).status
        if found.current_replicas != wanted:
            raise NotYet(f"{found.current_replicas} replicas, {found.desired_replicas} desired")
        return True

    wait_until(
        f"{wanted} replicas",
        reached,
        timeout_seconds=_SCALE_SECONDS,
        interval_seconds=1.0,
        hint="`kubectl describe hpa -A`",
    )
