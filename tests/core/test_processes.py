"""Running real programs: streamed, bounded, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from rehearsal.core import processes
from rehearsal.core.processes import ProcessFailedError, beside, run
from rehearsal.core.waiting import wait_until

LIMIT_SECONDS = 60.0  # never reached, but by a clock that is set forward
SHORT_SECONDS = 0.5  # of programs that never end, whatever they have come to by then
# A child that ignores SIGTERM, holds the output open and says who it is, below a shell that waits for it.
STUBBORN_FAMILY = "bash -c 'trap \"\" TERM; echo $BASHPID; while :; do sleep 100; done' & wait"


@pytest.fixture(autouse=True)
def _long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    # No program here outlives its signal; a busy machine may need long to deliver it.
    monkeypatch.setattr(processes, "_TERM_GRACE_SECONDS", LIMIT_SECONDS)


@pytest.fixture
def end_of_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a listener for whom the time limit has passed with the first line that it hears."""
    ahead = 0.0

    def set_forward(line: str) -> None:
        nonlocal ahead
        ahead = 2 * LIMIT_SECONDS

    monkeypatch.setattr(processes, "monotonic", lambda: time.monotonic() + ahead)
    return set_forward


@pytest.fixture
def strays() -> Iterator[list[int]]:
    """Yield a list for process ids that the test knows of; end what is left of them."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def _await_end(pid: int) -> None:
    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(
        f"end of process {pid}", ended, timeout_seconds=60, hint="It was left behind.", interval_seconds=0.02
    )


def _shell(script: str) -> list[str]:
    return ["bash", "-c", script]


def test_output_and_errors_come_back_in_order() -> None:
    done = run(_shell("echo one; echo two >&2; echo three"), timeout_seconds=LIMIT_SECONDS)

    assert (done.ok, done.output) == (True, "one\ntwo\nthree\n")


def test_log_is_redacted_before_it_is_on_disk(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "log"

    def on_line(line: str) -> None:
        seen.append(f"{line} {log.read_text()}")

    def redaction(text: str) -> str:
        return text.replace("drawn", "[hidden]")

    script = "printf dra; sleep 0.1; echo wn; printf 'and drawn'"
    done = run(_shell(script), timeout_seconds=LIMIT_SECONDS, log=log, on_line=on_line, redaction=redaction)

    assert seen[0] == "[hidden] [hidden]\n"
    assert log.read_text() == done.output == "[hidden]\nand [hidden]"


def test_log_that_is_redacted_lacks_no_end_when_the_program_is_broken_off(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    # In one write, which a pipe hands on as a whole.
    script = "import os, signal; os.write(1, b'one\\nlast words'); signal.pause()"
    with pytest.raises(KeyboardInterrupt):
        run(
            [sys.executable, "-c", script],
            timeout_seconds=LIMIT_SECONDS,
            log=tmp_path / "log",
            on_line=interrupt,
            redaction=str,
        )

    assert (tmp_path / "log").read_text() == "one\nlast words"


def test_lines_are_seen_while_the_program_runs(tmp_path: Path) -> None:
    seen: list[str] = []
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def open_the_gate(line: str) -> None:
        seen.append(line)
        if line == "waiting":
            gate.write_text("go\n", encoding="utf-8")

    # The program goes on only when its first line has been seen.
    run(_shell(f"echo waiting; cat {gate}"), timeout_seconds=LIMIT_SECONDS, on_line=open_the_gate)

    assert seen == ["waiting", "go"]


def test_last_line_without_its_end_is_seen() -> None:
    seen: list[str] = []

    run(["printf", "one\ntwo"], timeout_seconds=LIMIT_SECONDS, on_line=seen.append)

    assert seen == ["one", "two"]


def test_bytes_that_are_not_text_do_not_end_the_run() -> None:
    done = run(["printf", r"a\xffb\n"], timeout_seconds=LIMIT_SECONDS)

    assert done.output == "a\ufffdb\n"


def test_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "build.log"

    run(["echo", "first"], timeout_seconds=LIMIT_SECONDS, log=log)
    run(["echo", "second"], timeout_seconds=LIMIT_SECONDS, log=log)

    assert log.read_text(encoding="utf-8") == "first\nsecond\n"


def test_large_output_is_whole_in_the_log_and_a_tail_in_memory(tmp_path: Path) -> None:
    done = run(["seq", "200000"], timeout_seconds=LIMIT_SECONDS, log=tmp_path / "log")

    assert (tmp_path / "log").read_bytes() == b"".join(b"%d\n" % number for number in range(1, 200001))
    assert done.output.splitlines() == [str(number) for number in range(199961, 200001)]


def test_endless_line_is_handed_on_in_pieces(tmp_path: Path) -> None:
    lengths: list[int] = []
    program = "import sys; sys.stdout.write('x' * 5_000_000)"

    run(
        [sys.executable, "-c", program],
        timeout_seconds=LIMIT_SECONDS,
        log=tmp_path / "log",
        on_line=lambda line: lengths.append(len(line)),
    )

    assert sum(lengths) == 5_000_000
    assert max(lengths) < 200_000


def test_all_output_is_kept_without_a_log() -> None:
    assert len(run(["seq", "1000"], timeout_seconds=LIMIT_SECONDS).output.splitlines()) == 1000


def test_input_is_given_as_bytes() -> None:
    # More than a pipe holds: writing and reading have to go on at the same time.
    text = b"x" * 1_000_000

    assert run(["cat"], timeout_seconds=LIMIT_SECONDS, stdin=text).output == text.decode()


def test_input_is_given_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hello\n", encoding="utf-8")

    assert run(["cat"], timeout_seconds=LIMIT_SECONDS, stdin=tmp_path / "in").output == "hello\n"


def test_program_has_no_input_by_default() -> None:
    assert run(["cat"], timeout_seconds=LIMIT_SECONDS).output == ""


def test_program_that_does_not_read_its_input_is_judged_by_its_exit_code() -> None:
    assert run(["true"], timeout_seconds=LIMIT_SECONDS, stdin=b"x" * 1_000_000).ok


def test_environment_and_folder_are_given(tmp_path: Path) -> None:
    done = run(_shell("echo $NAME; pwd"), timeout_seconds=LIMIT_SECONDS, env={"NAME": "kafka"}, cwd=tmp_path)

    assert done.output == f"kafka\n{tmp_path}\n"


def test_failure_carries_code_tail_and_command() -> None:
    with pytest.raises(ProcessFailedError) as caught:
        run(_shell("echo no space left; exit 3"), timeout_seconds=LIMIT_SECONDS)

    error = caught.value
    assert (error.code, error.returncode, error.tail) == ("PROCESS_FAILED", 3, "no space left")
    assert "bash ended with 3" in error.message


def test_failure_names_the_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailedError) as caught:
        run(["false"], timeout_seconds=LIMIT_SECONDS, log=tmp_path / "kind.log")

    assert str(tmp_path / "kind.log") in caught.value.hint


def test_failure_is_returned_when_the_caller_judges() -> None:
    assert run(_shell("exit 3"), timeout_seconds=LIMIT_SECONDS, check=False).returncode == 3


def test_missing_program_is_named() -> None:
    with pytest.raises(ProcessFailedError, match="no-such-program cannot be started") as caught:
        run(["no-such-program"], timeout_seconds=LIMIT_SECONDS)

    assert caught.value.code == "PROCESS_NOT_STARTED"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_time_limit_ends_the_program_and_keeps_its_output(
    tmp_path: Path, end_of_time: Callable[[str], None]
) -> None:
    with pytest.raises(ProcessFailedError) as caught:
        run(
            _shell("echo begun; sleep 100"),
            timeout_seconds=LIMIT_SECONDS,
            log=tmp_path / "log",
            on_line=end_of_time,
        )

    assert (caught.value.code, caught.value.tail) == ("PROCESS_TIMEOUT", "begun")


def test_time_limit_ends_a_program_that_says_nothing() -> None:
    with pytest.raises(ProcessFailedError) as caught:
        run(["sleep", "100"], timeout_seconds=SHORT_SECONDS)

    assert caught.value.code == "PROCESS_TIMEOUT"


def test_last_words_after_the_time_limit_are_kept(tmp_path: Path, end_of_time: Callable[[str], None]) -> None:
    script = 'trap "echo cleaned up; exit 1" TERM; echo begun; while :; do sleep 0.05; done'
    log = tmp_path / "log"

    with pytest.raises(ProcessFailedError) as caught:
        run(_shell(script), timeout_seconds=LIMIT_SECONDS, log=log, on_line=end_of_time)

    assert "cleaned up" in caught.value.tail
    assert "cleaned up" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("check", [True, False])
def test_program_that_ends_well_on_the_signal_was_still_cut_off(
    check: bool, end_of_time: Callable[[str], None]
) -> None:
    script = 'trap "exit 0" TERM; echo begun; while :; do sleep 0.05; done'

    with pytest.raises(ProcessFailedError) as caught:
        run(_shell(script), timeout_seconds=LIMIT_SECONDS, check=check, on_line=end_of_time)

    assert caught.value.code == "PROCESS_TIMEOUT"


def test_time_limit_ends_grandchildren_that_ignore_the_signal(
    strays: list[int], end_of_time: Callable[[str], None]
) -> None:
    def listen(line: str) -> None:
        strays.append(int(line))
        end_of_time(line)

    with pytest.raises(ProcessFailedError):
        run(_shell(STUBBORN_FAMILY), timeout_seconds=LIMIT_SECONDS, on_line=listen)

    _await_end(strays[0])


def test_time_limit_ends_the_run_though_a_daemon_still_holds_the_output(
    strays: list[int], end_of_time: Callable[[str], None]
) -> None:
    def listen(line: str) -> None:
        strays.append(int(line))
        end_of_time(line)

    # A session of its own: no signal to the group reaches it.
    script = "setsid bash -c 'echo $BASHPID; exec sleep 100'"

    with pytest.raises(ProcessFailedError) as caught:
        run(_shell(f"{script} & wait"), timeout_seconds=LIMIT_SECONDS, on_line=listen)

    assert caught.value.code == "PROCESS_TIMEOUT"


def test_interruption_ends_the_whole_group(strays: list[int]) -> None:
    def interrupt(line: str) -> None:
        strays.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(_shell(STUBBORN_FAMILY), timeout_seconds=LIMIT_SECONDS, on_line=interrupt)

    _await_end(strays[0])


def test_killed_harness_takes_the_program_along(strays: list[int]) -> None:
    harness = "from rehearsal.core.processes import run; run(['bash', '-c', 'echo $$; exec sleep 100'], "
    harness += "timeout_seconds=100, on_line=lambda line: print(line, flush=True))"
    with subprocess.Popen([sys.executable, "-c", harness], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        strays.append(int(parent.stdout.readline()))
        parent.kill()

    _await_end(strays[0])


def test_no_program_is_left_as_a_zombie() -> None:
    with pytest.raises(ProcessFailedError):
        run(["sleep", "100"], timeout_seconds=SHORT_SECONDS)

    assert not [one for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE]


def test_program_beside_ends_with_the_block_and_leaves_its_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with beside(["bash", "-c", "echo here; exec sleep 1000"], log=log) as ended:
        wait_until("its output", lambda: "here" in log.read_text(), timeout_seconds=LIMIT_SECONDS, hint="")
        assert ended() is None
    assert ended() is not None


def test_exit_code_of_a_program_beside_is_said(tmp_path: Path) -> None:
    with beside(["bash", "-c", "exit 7"], log=tmp_path / "log") as ended:
        wait_until("its end", lambda: ended() == 7, timeout_seconds=LIMIT_SECONDS, hint="")
