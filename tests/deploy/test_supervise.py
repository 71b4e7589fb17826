"""The supervisor of live updates, run as the pod runs it: a program of its own over real folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rehearsal.core.waiting import wait_until

_SUPERVISOR = Path(__file__).parents[2] / "tilt" / "live" / "supervise.py"
_WAIT_SECONDS = 60.0  # far more than a loaded machine needs
_HINT = "the supervisor's output says more"

# Says what it is and waits; `heavy` stands for a dependency that takes long to import.
_PROGRAM = """
import os, signal, heavy
from program.value import VALUE

def main():
    with open(os.environ["SAID"], "a") as said:
        said.write(f"{VALUE} {os.getpid()} {heavy.IMPORTED_BY}\\n")
    signal.sigwait([signal.SIGUSR1])

main()
"""


class Pod:
    """A supervisor over two folders, as in a pod."""

    def __init__(self, folder: Path) -> None:
        self.image, self.live = folder / "image", folder / "live"
        self.said_file, self.output = folder / "said", folder / "output"
        dependencies = folder / "site-packages"
        for made in (self.image / "program", self.live, dependencies):
            made.mkdir(parents=True)
        (dependencies / "heavy.py").write_text("import os\nIMPORTED_BY = os.getpid()\n")
        (self.image / "program" / "__init__.py").touch()
        (self.image / "program" / "__main__.py").write_text(_PROGRAM)
        (self.image / "program" / "value.py").write_text("VALUE = 'first'\n")
        self.environment = {
            **os.environ,
            "SAID": str(self.said_file),
            "PYTHONPATH": os.pathsep.join([str(self.image), str(dependencies)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, preload: str = "heavy") -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    str(_SUPERVISOR),
                    f"--image-source={self.image}",
                    f"--live-source={self.live}",
                    f"--preload={preload}",
                    "program",
                ],
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        return self.process

    def edit(self, name: str, text: str) -> None:
        (self.live / "program" / name).write_text(text)

    def said(self) -> list[list[str]]:
        return (
            [line.split() for line in self.said_file.read_text().splitlines()]
            if self.said_file.exists()
            else []
        )

    def wait_for_value(self, value: str) -> list[str]:
        def newest() -> list[str] | None:
            lines = self.said()
            return lines[-1] if lines and lines[-1][0] == value else None

        return wait_until(f"value {value}", newest, timeout_seconds=_WAIT_SECONDS, hint=_HINT)

    def wait_for_output(self, text: str) -> None:
        wait_until(
            f"output {text!r}",
            lambda: text in self.output.read_text(),
            timeout_seconds=_WAIT_SECONDS,
            hint=_HINT,
        )


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    made = Pod(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        made.process.wait(_WAIT_SECONDS)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_image_s_source_runs_first(pod: Pod) -> None:
    pod.start()
    assert pod.wait_for_value("first")


def test_an_edit_goes_live(pod: Pod) -> None:
    pod.start()
    pod.wait_for_value("first")
    pod.edit("value.py", "VALUE = 'second'\n")
    assert pod.wait_for_value("second")


def test_an_edit_of_the_same_length_goes_live(pod: Pod) -> None:
    """Byte code that is checked by size and whole seconds would hide it."""
    pod.start()
    pod.wait_for_value("first")
    pod.edit("value.py", "VALUE = 'fitst'\n")
    assert pod.wait_for_value("fitst")


def test_a_file_that_is_renamed_over_another_goes_live(pod: Pod) -> None:
    pod.start()
    pod.wait_for_value("first")
    pod.edit(".value.py.tmp", "VALUE = 'renamed'\n")
    (pod.live / "program" / ".value.py.tmp").rename(pod.live / "program" / "value.py")
    assert pod.wait_for_value("renamed")


def test_a_removed_module_is_gone(pod: Pod) -> None:
    """The image still holds it; what runs is what the live folder holds."""
    pod.start()
    pod.wait_for_value("first")
    (pod.live / "program" / "value.py").unlink()
    pod.wait_for_output("No module named 'program.value'")


def test_dependencies_are_imported_once(pod: Pod) -> None:
    supervisor = pod.start()
    pod.wait_for_value("first")
    pod.edit("value.py", "VALUE = 'second'\n")
    assert pod.wait_for_value("second")[2] == str(supervisor.pid)


def test_the_old_process_has_ended_when_the_new_one_runs(pod: Pod) -> None:
    pod.start()
    old = int(pod.wait_for_value("first")[1])
    pod.edit("value.py", "VALUE = 'second'\n")
    pod.wait_for_value("second")
    assert not _alive(old)


def test_a_mistake_is_shown_and_its_cure_goes_live(pod: Pod) -> None:
    pod.start()
    pod.wait_for_value("first")
    pod.edit("value.py", "VALUE = \n")
    pod.wait_for_output("SyntaxError")
    pod.wait_for_output("program ended with 1; it starts again after the next change")
    pod.edit("value.py", "VALUE = 'cured'\n")
    assert pod.wait_for_value("cured")


def test_a_program_with_a_mistake_does_not_run_on(pod: Pod) -> None:
    pod.start()
    old = int(pod.wait_for_value("first")[1])
    pod.edit("value.py", "VALUE = \n")
    pod.wait_for_output("SyntaxError")
    assert not _alive(old)


def test_a_file_that_came_before_the_start_is_kept(pod: Pod) -> None:
    """Tilt may copy into the pod before the supervisor has copied what the image holds."""
    (pod.live / "program").mkdir()
    pod.edit("value.py", "VALUE = 'early'\n")
    pod.start()
    assert pod.wait_for_value("early")


def test_a_restarted_container_keeps_what_was_edited(pod: Pod) -> None:
    first = pod.start()
    pod.wait_for_value("first")
    pod.edit("value.py", "VALUE = 'second'\n")
    pod.wait_for_value("second")
    first.kill()
    first.wait()
    os.kill(int(pod.said()[-1][1]), signal.SIGKILL)  # with PID 1 all of a container ends
    pod.said_file.unlink()
    pod.start()
    assert pod.wait_for_value("second")


def test_sigterm_ends_the_program_and_then_the_supervisor(pod: Pod) -> None:
    supervisor = pod.start()
    child = int(pod.wait_for_value("first")[1])
    supervisor.terminate()
    assert supervisor.wait(_WAIT_SECONDS) == 0
    assert not _alive(child)


def test_a_program_that_ignores_sigterm_is_killed(pod: Pod) -> None:
    deaf = _PROGRAM.replace("def main():", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef main():")
    (pod.image / "program" / "__main__.py").write_text(deaf)
    pod.start()
    pod.wait_for_value("first")
    pod.edit("value.py", "VALUE = 'second'\n")
    pod.wait_for_value("second")
    assert "did not stop within 2 s and is killed" in pod.output.read_text()


def test_preloading_the_program_itself_is_refused(pod: Pod) -> None:
    assert pod.start(preload="program.value").wait(_WAIT_SECONDS) != 0
    assert "it belongs to the program" in pod.output.read_text()


def test_edits_in_a_new_folder_go_live(pod: Pod) -> None:
    pod.start()
    pod.wait_for_value("first")
    extra = pod.live / "program" / "extra"
    extra.mkdir()
    (extra / "__init__.py").write_text("VALUE = 'third'\n")
    pod.edit("value.py", "from program.extra import VALUE\n")
    pod.wait_for_value("third")
    (extra / "__init__.py").write_text("VALUE = 'fourth'\n")
    pod.wait_for_value("fourth")


def test_an_idle_supervisor_sleeps(pod: Pod) -> None:
    """Looking for changes all the time costs a share of the processor, for which an HPA adds pods."""
    process = pod.start()
    pod.wait_for_value("first")
    # A program that has just started may still have its supervisor woken.
    wait_until(
        "it sleeps", lambda: _times_awake(process.pid, 1.0) == 0, timeout_seconds=_WAIT_SECONDS, hint=_HINT
    )


def test_without_a_watch_changes_are_found_by_looking(tmp_path: Path) -> None:
    code = f"""
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("supervise", {str(_SUPERVISOR)!r})
supervise = sys.modules["supervise"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(supervise)
watch = supervise.Watch(pathlib.Path({str(tmp_path)!r}))
watch.give_up("none left")
watch.wait()
watch.renew()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "no watch on files (none left): looking each 0.25 s" in done.stderr


def _times_awake(process_id: int, seconds: float) -> int:
    """How often a process that does nothing was woken meanwhile."""

    def switches() -> int:
        status = Path(f"/proc/{process_id}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if "_ctxt_switches" in line)

    before = switches()
    time.sleep(seconds)
    return switches() - before
