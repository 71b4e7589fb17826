"""What the runtime shim costs: CPU time of one start, beside runc itself and a Python interpreter.

Run as `python bench/engine_shim.py`; needs runc. Prints a Markdown table.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SHIM = Path(__file__).resolve().parents[1] / "kind/engine/runc-bounded"
ROUNDS = 100  # one start is a few milliseconds; CPU time is counted in steps of microseconds
_CAPABILITIES = ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"] * 14  # a privileged process names about 41


def _cpu_milliseconds(argv: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(ROUNDS):
        subprocess.run(argv, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent * 1000 / ROUNDS


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        process = Path(folder) / "process.json"
        sets = dict.fromkeys(("bounding", "effective", "permitted", "inheritable"), _CAPABILITIES)
        process.write_text(json.dumps({"args": ["true"], "cwd": "/", "capabilities": sets}))
        exec_words = ["--root", folder, "exec", "--process", str(process), "none"]
        rows = {
            "runc exec (container unknown)": ["/usr/sbin/runc", *exec_words],
            "the same through runc-bounded": [str(SHIM), *exec_words],
            "python3 -I -S, json imported, nothing done": [
                "/usr/bin/python3",
                "-I",
                "-S",
                "-c",
                "import json",
            ],
        }
        sys.stdout.write("| start | CPU ms |\n|---|---|\n")
        for name, argv in rows.items():
            sys.stdout.write(f"| {name} | {_cpu_milliseconds(argv):.1f} |\n")


if __name__ == "__main__":
    main()
