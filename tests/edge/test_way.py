"""The way through the edge: addresses, TLS, answers that do not come."""

from __future__ import annotations

import json

import httpx
import pytest
from rehearsal.core.waiting import NotYet, wait_until
from rehearsal.deploy.certificates import EDGE_HOST

from tests.edge.bench import Edge


def test_the_client_s_address_is_the_edge_s_word_not_the_client_s(edge: Edge, path: str) -> None:
    edge.ask(path, X_Forwarded_For="6.6.6.6")
    (request,) = edge.upstream.asked(path)
    assert request.headers["x-forwarded-for"] == f"{edge.upstream.host}, {edge.address}"


def test_the_host_that_the_client_named_reaches_the_shop(edge: Edge, path: str) -> None:
    edge.ask(path, Host=f"{EDGE_HOST}:8443")
    assert edge.upstream.asked(path)[0].headers["host"] == f"{EDGE_HOST}:8443"


@pytest.mark.parametrize("host", [EDGE_HOST, "localhost"])
def test_who_trusts_the_local_authority_gets_in_by_tls(edge: Edge, path: str, host: str) -> None:
    answer = edge.ask_by_tls(host, path)
    assert (answer.status_code, answer.text) == (200, "1")


def test_no_other_name_gets_a_certificate(edge: Edge, path: str) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        edge.ask_by_tls("mambogo.com", path)


def test_by_tls_and_without_it_one_answer_is_kept(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control="public, max-age=3600")
    edge.ask_by_tls(EDGE_HOST, path)
    assert edge.cache_of(path, Host=EDGE_HOST) == "HIT"


def test_a_large_order_is_the_gateway_s_to_refuse(edge: Edge, path: str) -> None:
    answer = edge.client.post(path, content=b"x" * (2 << 20))
    assert answer.status_code == 200
    assert edge.upstream.asked(path)[0].headers["content-length"] == str(2 << 20)


def test_an_answer_that_does_not_come_is_said_in_the_shop_s_form(edge: Edge, path: str) -> None:
    edge.balancer.pause()
    try:
        answer = edge.ask(path)
    finally:
        edge.balancer.unpause()
    assert answer.status_code == 504
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.text)["status"] == answer.status_code


def test_the_log_says_neither_query_nor_credentials(edge: Edge, path: str) -> None:
    edge.ask(f"{path}?word=unsaid", Authorization="Bearer unsaid", Cookie="unsaid")

    def probe() -> str:
        # It is written when the answer has left, and then has to come through the engine.
        for one in edge.cdn.logs().decode().splitlines():
            if path in one:
                return str(one)
        raise NotYet("no line of it")

    line = wait_until("its line in the log", probe, timeout_seconds=60.0, hint="`docker logs` of the cache")
    assert json.loads(line)["cache"] == "PASS"
    # NGINX reads the two from two clocks, each of whole milliseconds.
    spent, upstream = json.loads(line)["duration_seconds"], float(json.loads(line)["upstream_seconds"])
    assert 0 <= upstream <= spent + 0.002
    assert "unsaid" not in line
