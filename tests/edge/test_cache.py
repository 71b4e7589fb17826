"""What the cache tier keeps, and what it never does."""

from __future__ import annotations

import pytest
from rehearsal.core.waiting import NotYet, wait_until

from tests.edge.bench import LONG_BYTES, PURGE_KEY, Edge

_KEPT = "public, max-age=3600"


def test_the_configuration_has_no_mistake_and_no_warning(edge: Edge) -> None:
    for container in (edge.cdn, edge.balancer):
        ended = container.exec_run(["nginx", "-e", "stderr", "-t"])
        assert isinstance(ended.output, bytes)
        said = ended.output.decode()
        assert ended.exit_code == 0, said
        assert [line for line in said.splitlines() if "[" in line] == []


def test_what_may_be_kept_is_asked_for_once(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    first, second = edge.ask(path), edge.ask(path)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.text == second.text == "1"
    assert len(edge.upstream.asked(path)) == 1


def test_a_question_is_a_question_of_its_own(edge: Edge, path: str) -> None:
    for question in ("", "?page=1", "?page=2"):
        edge.upstream.answer(path + question, Cache_Control=_KEPT)
        assert edge.cache_of(path + question) == "MISS"


def test_another_host_is_another_answer(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    assert [edge.cache_of(path, Host=host) for host in ("one.test", "two.test", "one.test")] == [
        "MISS",
        "MISS",
        "HIT",
    ]


def test_head_is_answered_from_what_get_has_kept(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    edge.ask(path)
    answer = edge.ask(path, "HEAD")
    assert (answer.headers["X-Cache"], answer.text) == ("HIT", "")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cache-Control": "no-store"},
        {"Cache-Control": "private, max-age=60"},
        {"Cache-Control": "no-cache"},
        {"Cache-Control": "public, max-age=0"},
        {"Cache-Control": _KEPT, "Set-Cookie": "session=1"},
        {"Cache-Control": _KEPT, "Vary": "Accept-Language"},
        {"Cache-Control": _KEPT, "Vary": "Accept-Encoding"},
        {"Cache-Control": _KEPT, "Vary": "Accept-Encoding, Cookie"},
        {"Cache-Control": _KEPT, "Vary": "Accept-Encoding\nOrigin"},
        {"Cache-Control": _KEPT, "Vary": "Accept-Encoding\nOrigin\nAccept-Encoding"},
        {"Cache-Control": f"{_KEPT}\nprivate"},
        {"Cache-Control": f"private\n{_KEPT}"},
        {"Cache-Control": _KEPT, "Vary": "*"},
        {"X-Accel-Expires": "60"},
        {"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ],
    ids=lambda headers: ", ".join(f"{name}: {value}" for name, value in headers.items()) or "nothing said",
)
def test_what_may_not_be_kept_is_asked_for_each_time(edge: Edge, path: str, headers: dict[str, str]) -> None:
    edge.upstream.answers[path] = 200, headers
    assert [edge.ask(path).text for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize("status", [201, 302, 404, 500])
def test_what_is_no_answer_to_keep_is_asked_for_each_time(edge: Edge, path: str, status: int) -> None:
    edge.upstream.answer(path, status, Location="/elsewhere")
    assert edge.ask(path).text != edge.ask(path).text


def test_a_shared_cache_s_own_lifetime_comes_first(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control="public, max-age=0, s-maxage=60")
    assert [edge.cache_of(path) for _ in range(2)] == ["MISS", "HIT"]


def test_only_the_identity_coding_is_asked_for(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    codings = ("gzip", "br", "identity")
    assert [edge.cache_of(path, Accept_Encoding=coding) for coding in codings] == ["MISS", "HIT", "HIT"]
    assert "accept-encoding" not in edge.upstream.asked(path)[0].headers


def test_what_varies_behind_an_empty_line_is_kept_apart(edge: Edge, path: str) -> None:
    edge.upstream.answers[path] = 200, {"Cache-Control": _KEPT, "Vary": "\nOrigin"}
    origins = ("https://one.test", "https://two.test", "https://one.test")
    assert [edge.ask(path, Origin=origin).text for origin in origins] == ["1", "2", "1"]


@pytest.mark.parametrize("field", ["Authorization", "Cookie"])
def test_nothing_personal_is_kept(edge: Edge, path: str, field: str) -> None:
    # Whatever the answer says about itself.
    edge.upstream.answer(path, Cache_Control=_KEPT)
    mine = [edge.ask(path, **{field: "alice"}) for _ in range(2)]
    assert [(one.text, one.headers["X-Cache"]) for one in mine] == [("1", "PASS"), ("2", "PASS")]
    assert edge.ask(path).text == "3"


@pytest.mark.parametrize("field", ["Authorization", "Cookie"])
def test_who_is_somebody_gets_nothing_that_was_kept(edge: Edge, path: str, field: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    edge.ask(path)
    assert edge.ask(path, **{field: "alice"}).text == "2"
    assert edge.ask(path).text == "1"


def test_a_change_is_never_kept(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    assert [edge.ask(path, "POST").text for _ in range(2)] == ["1", "2"]


def test_conditions_of_a_change_reach_the_shop(edge: Edge, path: str) -> None:
    edge.ask(path, "PUT", If_Match='"7"', Authorization="Bearer x")
    assert edge.upstream.asked(path)[0].headers["if-match"] == '"7"'


def test_what_has_expired_is_asked_for_again_by_its_tag(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control="public, max-age=1", ETag='"7"')
    edge.ask(path)
    answer = edge.await_cache(path, "REVALIDATED")
    assert answer.text == "1"
    assert edge.upstream.asked(path)[-1].headers["if-none-match"] == '"7"'


def test_a_client_that_has_it_already_gets_nothing_again(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT, ETag='"7"')
    edge.ask(path)
    answer = edge.ask(path, If_None_Match='"7"')
    assert (answer.status_code, answer.headers["X-Cache"]) == (304, "HIT")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_old_answer_is_better_than_an_error_when_it_allows_that(
    edge: Edge, path: str, status: int
) -> None:
    edge.upstream.answer(path, Cache_Control="public, max-age=1, stale-if-error=600")
    edge.ask(path)
    edge.upstream.answer(path, status)
    answer = edge.await_cache(path, "STALE")
    assert (answer.status_code, answer.text) == (200, "1")


def test_without_leave_an_error_is_an_error(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control="public, max-age=1")
    edge.ask(path)
    edge.upstream.answer(path, 503)
    assert edge.await_cache(path, "PASS").status_code == 503


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_is_asked_for_once_and_given_as_it_came(edge: Edge, path: str, status: int) -> None:
    edge.upstream.answer(path, status, Retry_After="7", Content_Type="application/problem+json")
    answer = edge.ask(path)
    assert (answer.status_code, answer.text, answer.headers["Retry-After"]) == (status, "1", "7")
    assert (answer.headers["Content-Type"], answer.headers["X-Cache"]) == ("application/problem+json", "PASS")
    assert len(edge.upstream.asked(path)) == 1


def test_an_error_that_came_instead_of_a_new_answer_is_asked_for_once(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control="public, max-age=1")
    edge.ask(path)
    edge.upstream.answer(path, 503)
    # What is asked before it has expired is a HIT and reaches nobody.
    assert edge.await_cache(path, "PASS").text == "2"
    assert len(edge.upstream.asked(path)) == 2


def test_an_error_is_nobody_else_s(edge: Edge, path: str) -> None:
    # Whatever it says about itself.
    edge.upstream.answer(path, 503, Cache_Control=_KEPT)
    assert [edge.ask(path).text for _ in range(3)] == ["1", "2", "3"]
    edge.upstream.answer(path)
    assert edge.ask(path).status_code == 200


def test_an_error_is_not_taken_from_another_s_question(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, 503)
    questions = ("known", "known")
    assert [edge.ask(path, X_Edge_Question=question).text for question in questions] == ["1", "2"]
    assert [one.headers.get("x-edge-question") for one in edge.upstream.asked(path)] == [None, None]


def test_an_error_that_comes_bit_by_bit_is_given_whole(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, 503, X_Padding="x" * 3000)
    edge.upstream.halved.add(path)
    answer = edge.ask(path)
    assert (answer.status_code, answer.text.strip(), len(answer.content)) == (503, "1", LONG_BYTES)
    assert len(edge.upstream.asked(path)) == 1


def test_an_error_says_its_own_request_s_id(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, 503, X_Request_Id="of-this-one")
    assert edge.ask(path).headers["X-Request-Id"] == "of-this-one"


def test_head_is_told_an_error_without_its_content(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, 503, X_Request_Id="of-this-one")
    answer = edge.ask(path, "HEAD")
    assert (answer.status_code, answer.text, answer.headers["X-Request-Id"]) == (503, "", "of-this-one")


def test_a_kept_answer_says_when_it_was_made(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    made = edge.ask(path).headers["Date"]

    def probe() -> str:
        now = str(edge.ask(f"{path}/other").headers["Date"])
        if now == made:
            raise NotYet(now)
        return now

    wait_until("another second", probe, timeout_seconds=10, hint="Does its clock stand still?")
    assert (edge.cache_of(path), edge.ask(path).headers["Date"]) == ("HIT", made)


def test_who_had_no_time_is_not_asked_again(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, 504)
    answer = edge.ask(path)
    assert (answer.status_code, answer.json()["status"]) == (504, 504)
    assert len(edge.upstream.asked(path)) == 1


@pytest.mark.parametrize("status", [403, 404, 410, 429])
def test_what_is_gone_or_refused_does_not_come_back_from_the_cache(
    edge: Edge, path: str, status: int
) -> None:
    edge.upstream.answer(path, Cache_Control="public, max-age=1, stale-if-error=600")
    edge.ask(path)
    edge.upstream.answer(path, status)
    assert edge.await_cache(path, "EXPIRED", "STALE", "PASS").status_code == status


def test_a_kept_answer_does_not_carry_another_request_s_id(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT, X_Request_Id="of-the-first")
    assert edge.ask(path).headers["X-Request-Id"] == "of-the-first"
    assert "X-Request-Id" not in edge.ask(path).headers


def test_a_purge_makes_the_next_one_ask_again(edge: Edge, path: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    edge.ask(path)
    purged = edge.ask(path, "PURGE", Authorization=f"Bearer {PURGE_KEY}")
    assert purged.status_code == 200
    assert edge.ask(path).text == "2"


@pytest.mark.parametrize(
    "key", ["", "Bearer", "Bearer wrong", f"Bearer {PURGE_KEY.lower()}", f"Bearer {PURGE_KEY}x", PURGE_KEY]
)
def test_a_purge_without_the_key_is_refused(edge: Edge, path: str, key: str) -> None:
    edge.upstream.answer(path, Cache_Control=_KEPT)
    edge.ask(path)
    refused = edge.ask(path, "PURGE", **({"Authorization": key} if key else {}))
    assert refused.status_code == 403
    assert edge.cache_of(path) == "HIT"


def test_a_purge_never_reaches_the_shop(edge: Edge, path: str) -> None:
    edge.ask(path, "PURGE", Authorization=f"Bearer {PURGE_KEY}")
    edge.ask(path, "PURGE")
    assert edge.upstream.asked(path) == []
