"""What a worker is told when it joins a cluster again."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest
from rehearsal.cluster.joining import Invitation, join_configuration, read_invitation
from rehearsal.core.errors import HarnessError

from tests.cluster.ground import planned

TOKEN = "abcdef.0123456789abcdef"
SAID = (
    "W1125 16:00:00.000000 some warning\n"
    f"kubeadm join mambogo-control-plane:6443 --token {TOKEN} --discovery-token-ca-cert-hash sha256:12ab \n"
)


def test_invitation_is_read_from_what_kubeadm_says() -> None:
    assert read_invitation(SAID) == Invitation("mambogo-control-plane:6443", TOKEN, "sha256:12ab")


def test_other_words_are_an_error_that_shows_them() -> None:
    with pytest.raises(HarnessError, match="timed out waiting"):
        read_invitation("timed out waiting for the condition")


def test_worker_verifies_the_authority_and_keeps_its_address() -> None:
    told = json.loads(
        join_configuration(planned(), "mambogo-worker", IPv4Address("172.30.0.3"), read_invitation(SAID))
    )

    assert told["discovery"]["bootstrapToken"]["caCertHashes"] == ["sha256:12ab"]
    assert {one["name"]: one["value"] for one in told["nodeRegistration"]["kubeletExtraArgs"]} == {
        "node-ip": "172.30.0.3",
        "node-labels": "",
        "provider-id": "kind://docker/mambogo/mambogo-worker",
    }
