"""The `rehearsal` command: arguments in, console out, exit codes by the table of `core.verdicts`.

Everything heavy is imported by the command that needs it: the first line of output must not wait for it.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback
from typing import NoReturn

import click

from rehearsal import __version__
from rehearsal.cli import (
    cluster_commands,
    detection_commands,
    e2e_commands,
    environment_commands,
    inspect_commands,
    observing_commands,
    pipeline_commands,
    report_commands,
    shop_commands,
    soak_commands,
    stack_commands,
    status_commands,
    supply_commands,
    weigh_commands,
)
from rehearsal.cli.console import say
from rehearsal.core.errors import HarnessError, RehearsalError
from rehearsal.core.verdicts import ExitCode

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="rehearsal")
def rehearsal() -> None:
    """Bring Mambogo's production up on this machine, and try to break it."""


rehearsal.add_command(environment_commands.doctor)
rehearsal.add_command(environment_commands.up)
rehearsal.add_command(environment_commands.down)
rehearsal.add_command(environment_commands.env)
rehearsal.add_command(status_commands.status)
rehearsal.add_command(stack_commands.render)
rehearsal.add_command(stack_commands.diff)
rehearsal.add_command(stack_commands.prepare)
rehearsal.add_command(inspect_commands.inspect)
rehearsal.add_command(shop_commands.seed)
rehearsal.add_command(shop_commands.shop)
rehearsal.add_command(observing_commands.trace)
rehearsal.add_command(observing_commands.logs)
rehearsal.add_command(e2e_commands.e2e)
rehearsal.add_command(e2e_commands.undo)
rehearsal.add_command(pipeline_commands.pipeline)
rehearsal.add_command(weigh_commands.weigh)
rehearsal.add_command(soak_commands.soak)
rehearsal.add_command(detection_commands.detection)
rehearsal.add_command(report_commands.report)
rehearsal.add_command(report_commands.explain)
rehearsal.add_command(cluster_commands.cluster)
rehearsal.add_command(supply_commands.supply)


def main() -> NoReturn:
    """Run the command line; never returns."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = rehearsal.main(arguments, prog_name="rehearsal", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except RehearsalError as error:
        _report(error, as_json="--json" in arguments)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted; run the same command again to go on\n")
        return ExitCode.INTERRUPTED
    except SystemExit:
        # Whoever read the output has gone. click turns that into 1, which would say that a check does not
        # hold; nor did the command come to an end that it could report.
        return ExitCode.INTERRUPTED
    except Exception as error:
        # Python would end with 1: a broken harness would pass for a broken product.
        say(traceback.format_exc())
        _report(_unexpected(error), as_json="--json" in arguments)
        return ExitCode.ERROR
    return int(code or ExitCode.PASS)


def _terminate(number: int, frame: object) -> NoReturn:
    # SIGTERM unwinds like Ctrl-C, so that children are ended and locks released.
    raise KeyboardInterrupt


def _unexpected(error: Exception) -> HarnessError:
    return HarnessError(
        "UNEXPECTED",
        f"the harness itself broke: {type(error).__name__}: {error}",
        hint="This says nothing about the product. Report it with the traceback on standard error.",
    )


def _report(error: RehearsalError, *, as_json: bool) -> None:
    if as_json:
        content = {"code": error.code, "message": error.message, "hint": error.hint}
        sys.stdout.write(json.dumps({"error": content}) + "\n")
        return
    say(f"\nerror: {error.message}\n  code: {error.code}\n  next: {error.hint}\n")
