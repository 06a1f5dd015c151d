"""Runs a command with the local stack's environment: `python -m project.local exec -- COMMAND`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from project.local.environment import STATE_DIR, site_environment
from project.local.errors import StackError
from project.local.running_site import running_environment
from project.local.servers.lifeline import die_with_parent
from project.local.stack import running_stack

_DESCRIPTION = """\
The local stack: PostgreSQL, Redis and an AWS endpoint as plain processes on loopback. No root, no Docker, no cloud.

  exec    start the stack, run COMMAND with its environment, stop the stack when COMMAND ends.
  manage  run manage.py: on the site that scripts/dev runs, or else like exec. scripts/manage calls this.

COMMAND gets DATABASE_URL, REDIS_URL, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION,
VIDEO_BATCH_JOB_QUEUE and VIDEO_BATCH_JOB_DEFINITION. Set DATABASE_URL, REDIS_URL or AWS_ENDPOINT_URL yourself to use a
server that runs already: nothing is started in its place.

Where they are not set yet, it gets SECRET_KEY, DEBUG=on, HTTPS=off, MEDIA_ROOT, STATIC_ROOT and BATCHREEL as well, as
scripts/demo and scripts/dev have them. The state folder is theirs too, so COMMAND sees what they made.
"""
_EPILOG = """\
examples:
  python -m project.local exec -- env
  python -m project.local exec -- python manage.py migrate
  python -m project.local exec --state /tmp/other -- bash
  python -m project.local manage doctor

The servers' data and logs lie in the state folder. One stack at a time runs on a folder. Whatever way this program
ends, kill -9 included, the servers and the containers of the local AWS Batch end within 10 s.
"""


def main() -> int:
    """Parse the command line and return COMMAND's exit code, or 1 with a sentence when the stack cannot start."""
    arguments, rest = _parser().parse_known_args()
    if arguments.verb == "manage":
        arguments.command = [sys.executable, "manage.py", *rest]
    elif rest:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if not arguments.command:
        sys.stderr.write("No command given. Say it after --, for instance: python -m project.local exec -- env\n")
        return 2
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.verb == "manage" and (running := running_environment(arguments.state.resolve())):
            return _run(arguments.command, running)
        os.environ.update(site_environment(arguments.state.resolve()))
        with running_stack(arguments.state / "stack", say=lambda line: print(line, file=sys.stderr)) as environment:
            return _run(arguments.command, environment)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m project.local",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="exec|manage")
    run = verbs.add_parser("exec", help="run a command with the stack's environment")
    run.add_argument("--state", type=Path, default=STATE_DIR, help="folder of data and logs (%(default)s)")
    run.add_argument("command", nargs="*", metavar="COMMAND", help="after --")
    manage = verbs.add_parser(
        "manage",
        help="run manage.py on the running site, else on a stack of its own",
        add_help=False,
        allow_abbrev=False,
    )
    manage.add_argument("--state", type=Path, default=STATE_DIR, help="folder of data and logs (%(default)s)")
    return parser


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run the command in the foreground and wait for its end, also after a Ctrl-C, which it gets as well."""
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            # Safe here: this program has one thread.
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
