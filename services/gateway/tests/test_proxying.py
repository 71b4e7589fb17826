"""What a well-behaved client and a well-behaved pod see of the gateway."""

from __future__ import annotations

from rig import echo, fixed_answer, get, ok, post, rig, run


def test_an_answer_comes_back_with_the_pod_that_gave_it() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"hello"))) as it:
            answer = await it.ask(get())
            assert (answer.status, answer.body) == (200, b"hello")
            assert answer.field("X-Served-By") == "pod-0"

    run(test())


def test_connections_are_kept_on_both_sides() -> None:
    async def test() -> None:
        async with rig(fixed_answer(ok(b"hello"))) as it:
            client = await it.client()
            for _ in range(50):
                assert (await client.ask(get())).status == 200
            assert it.pod.connections == 1

    run(test())


def test_content_with_a_length_is_passed_on() -> None:
    async def test() -> None:
        async with rig(echo()) as it:
            answer = await it.ask(post(b"x" * 5000))
            assert answer.body.endswith(b"\r\n\r\n" + b"x" * 5000)

    run(test())
