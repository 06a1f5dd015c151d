"""Command line of the local stack: `python -m project.local exec -- COMMAND`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

from project.local.environment import STATE_DIR, caller_path, first_environment, host_environment, site_environment
from project.local.errors import StackError
from project.local.running_site import running_environment
from project.local.servers.lifeline import die_with_parent
from project.local.site import prepare_site
from project.local.stack import STACK_VARIABLES, running_stack

if TYPE_CHECKING:
    from pathlib import Path

_DESCRIPTION = """\
The local stack: PostgreSQL, Redis and an AWS endpoint as plain processes on loopback. No root, no Docker, no cloud.

  exec    start the stack, run COMMAND in its environment, and stop the stack when COMMAND ends.
  manage  run manage.py against the running scripts/dev site, or like exec if none is running (called by scripts/manage).
  site    like exec, for a site of your own, whose Python runs COMMAND and the containers (called by scripts/stack).

"""
_VARIABLES = """\
COMMAND gets DATABASE_URL, REDIS_URL, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION,
VIDEO_BATCH_JOB_QUEUE and VIDEO_BATCH_JOB_DEFINITION, and no_proxy with the loopback addresses. To use a server that is
already running, set DATABASE_URL, REDIS_URL or AWS_ENDPOINT_URL: it is kept, and the stack does not start its own. With
AWS_ENDPOINT_URL, set the other variables of AWS and the two of AWS Batch as well.
"""
_EXEC_VARIABLES = f"""\
{_VARIABLES}
COMMAND also gets SECRET_KEY, DEBUG=on, HTTPS=off, MEDIA_ROOT, STATIC_ROOT and BATCHREEL with the values that
scripts/demo and scripts/dev use, unless they are already set. All of them share the state folder, and with it the
videos and the database.
"""
_SITE_VARIABLES = f"""\
Run COMMAND next to a local PostgreSQL, Redis and AWS endpoint, which stop when it ends. It runs in the caller's folder
with the caller's environment, and so do the containers: `python` in a job definition's command is the caller's. Nothing
of this checkout is on their path.

{_VARIABLES}
COMMAND also gets BATCHREEL with short periods, so that ticks run every few seconds, unless it is already set. No other
variable is set or changed.
"""
_EPILOG = """\
examples:
  python -m project.local exec -- env
  python -m project.local exec -- python manage.py migrate
  python -m project.local exec --state /tmp/other -- bash
  python -m project.local manage doctor
  scripts/stack bash --norc

The state folder contains the servers' data and logs. Only one stack at a time can use a folder. However this program
ends, even with kill -9, the servers and the containers of the local AWS Batch stop within 10 s.
"""


def main() -> int:
    """Run COMMAND and return its exit code, or print the reason and return 1 if the stack cannot start."""
    arguments, rest = _parser().parse_known_args()
    if arguments.verb == "manage":
        arguments.command = [sys.executable, "manage.py", *rest]
    elif arguments.verb == "site":
        # All that follows the first word, with the `--` before it, if there is one.
        arguments.command = arguments.command[arguments.command[:1] == ["--"] :]
    elif rest:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if not arguments.command:
        sys.stderr.write("No command given. Add it after --, for example: python -m project.local exec -- env\n")
        return 2
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.verb == "site":
            return _run_for_site(arguments.command, arguments.state.resolve())
        if arguments.verb == "manage" and (running := running_environment(arguments.state.resolve())):
            return _run(arguments.command, running)
        os.environ.update(site_environment(arguments.state.resolve()))
        with running_stack(arguments.state / "stack", report=lambda line: print(line, file=sys.stderr)) as environment:
            if arguments.verb == "manage":
                os.environ.update(environment)
                prepare_site()
            return _run(arguments.command, environment)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m project.local",
        description=_DESCRIPTION + _EXEC_VARIABLES,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="exec|manage|site")
    run = verbs.add_parser(
        "exec",
        help="run a command in the stack's environment",
        description=_EXEC_VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "--state", type=caller_path, default=STATE_DIR, help="folder for data and logs (default: %(default)s)"
    )
    run.add_argument("command", nargs="*", metavar="COMMAND", help="the command to run, after --")
    manage = verbs.add_parser(
        "manage",
        help="run manage.py against the running site, or on its own stack",
        add_help=False,
        allow_abbrev=False,
    )
    manage.add_argument(
        "--state", type=caller_path, default=STATE_DIR, help="folder for data and logs (default: %(default)s)"
    )
    site = verbs.add_parser(
        "site",
        prog="scripts/stack",
        help="run a command of a site of your own in the stack's environment",
        description=_SITE_VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    site.add_argument(
        "--state",
        type=caller_path,
        default=".local/stack",
        help="folder for data and logs (default: %(default)s in the caller's folder)",
    )
    site.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command to run")
    return parser


def _run_for_site(command: list[str], state_dir: Path) -> int:
    """Run the command in the caller's folder and environment, next to a stack whose containers run there as well."""
    folder = caller_path("").resolve()
    caller = first_environment()
    caller.pop("CALLER_DIR", None)
    os.environ.clear()
    os.environ.update(caller)
    os.environ.update(host_environment())
    for name in STACK_VARIABLES:
        if os.environ.get(name):
            sys.stderr.write(f"{name} is set already and is kept: no server is started in its place.\n")
    with running_stack(state_dir, site=folder, report=lambda line: print(line, file=sys.stderr)) as environment:
        return _run(command, environment, folder=folder)


def _run(command: list[str], environment: dict[str, str], *, folder: Path | None = None) -> int:
    """Run the command in the foreground, in `folder` or in this one, and return its exit code.

    Wait for its end even after Ctrl-C, which the command receives as well.
    """
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=folder,
            # Safe here: this process has only one thread.
            preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509
        )
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _frame: process.send_signal(number))
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    raise SystemExit(main())
