"""`scripts/dev`: the whole site on one machine.

Web pages, Celery worker, beat and Flower on the local stack, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from project.local.accounts import ACCOUNTS, ADMIN, ensure_accounts, write_login_file
from project.local.aws.resources import ensure_event_queue
from project.local.demo.videos import ensure_demo_videos
from project.local.environment import STATE_DIR, caller_path, site_environment
from project.local.errors import StackError
from project.local.frontend import install_frontend
from project.local.running_site import WEB_URL, shared_environment
from project.local.servers.lifeline import lifeline_command
from project.local.servers.ports import port_near
from project.local.site import WEB_PORT, prepare_site
from project.local.stack import STACK_VARIABLES, running_stack

FLOWER_PORT = 5555

_ROOT = Path(__file__).resolve().parents[2]
_STOP_GRACE_S = 7.0
"""honcho gives its processes 5 s.

Together with the stack's own shutdown, everything ends within 10 s of a Ctrl-C.
"""

_DESCRIPTION = """Run the whole site on this machine: web pages, Celery worker, beat and Flower on PostgreSQL, Redis and a local AWS
endpoint. It prints the URLs and a login, then the logs. Ctrl-C stops everything within 10 s.

The web server reloads when the code changes. Restart scripts/dev after a change to Celery tasks. Containers always run
the current code."""


def main() -> int:
    """Run the site and return the exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run(arguments.state.resolve(), arguments.port, empty=arguments.empty)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        print("\nStopped. No process is left running. Your data is kept: run `scripts/dev` to continue.")
        return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/dev", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--state", type=caller_path, default=STATE_DIR, help="folder for data and logs (default: .local/site)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=WEB_PORT,
        help="port of the web pages, or a nearby one if it is taken (default: %(default)s)",
    )
    parser.add_argument("--empty", action="store_true", help="do not upload the two demo videos")
    return parser.parse_args()


def _run(state_dir: Path, port: int, *, empty: bool) -> int:
    environment = site_environment(state_dir)
    os.environ.update(environment)
    install_frontend(report=print)
    Path(environment["STATIC_ROOT"]).mkdir(parents=True, exist_ok=True)
    print("Starting PostgreSQL, Redis and a local AWS endpoint on loopback.")
    with running_stack(state_dir / "stack", report=print) as stack:
        if "AWS_ACCESS_KEY_ID" in stack:  # the endpoint is ours
            stack["VIDEO_BATCH_EVENT_QUEUE_URL"] = ensure_event_queue(stack)
        os.environ.update(stack)
        prepare_site()
        # What this process does is printed; the programs below have their own logs.
        logging.getLogger("tasks").setLevel(logging.WARNING)
        password = ensure_accounts(state_dir)
        ports = {"web": port_near(port), "flower": port_near(FLOWER_PORT)}
        if not empty and ensure_demo_videos(state_dir):
            print("Uploaded two demo videos. They are transcoded as soon as the site is running.")
        _print_overview(state_dir, stack, ports, password)
        with shared_environment(state_dir, {**environment, **stack, WEB_URL: f"http://127.0.0.1:{ports['web']}"}):
            return _run_programs(_program_environment(ports, password))


def _print_overview(state_dir: Path, stack: Mapping[str, str], ports: Mapping[str, int], password: str) -> None:
    web = f"http://127.0.0.1:{ports['web']}"
    urls = {"web pages": f"{web}/", "admin": f"{web}/admin/", "Flower": f"http://127.0.0.1:{ports['flower']}/"}
    login_file = write_login_file(state_dir, urls=urls, password=password)
    names = ("PostgreSQL", "Redis", "AWS endpoint")
    servers = {name: stack[variable].rsplit("@", 1)[-1] for name, variable in zip(names, STACK_VARIABLES, strict=True)}
    lines = {
        **urls,
        "login": f"{ADMIN.name} / {password}  (same password for {' and '.join(each.name for each in ACCOUNTS[1:])})",
        **servers,
    }
    print("\nThe site is starting.\n")
    print("\n".join(f"  {name:13} {value}" for name, value in lines.items()))
    print(f"\nURLs and logins are also in {login_file}.")
    print(f"\nNext: open {urls['web pages']}, log in, and watch or upload a video. In another terminal, you can run")
    print("  scripts/manage doctor   check every part (scripts/manage runs any manage.py command)")
    print("  scripts/demo FILE       upload a file from the command line and watch its progress")
    print("Press Ctrl-C to stop everything. The logs follow.\n", flush=True)


def _program_environment(ports: Mapping[str, int], password: str) -> dict[str, str]:
    flower_url = f"http://127.0.0.1:{ports['flower']}/"
    batchreel = {"flower_url": flower_url, **json.loads(os.environ.get("BATCHREEL") or "{}")}
    return {
        **os.environ,
        "BATCHREEL": json.dumps(batchreel),
        "LOG_TICKS": os.environ.get("LOG_TICKS", "off"),
        # Without the control socket, which gunicorn creates in the user's home folder.
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{ports['web']} --reload --no-control-socket",
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(ports["flower"]),
        "FLOWER_BASIC_AUTH": f"{ADMIN.name}:{password}",
    }


def _run_programs(environment: Mapping[str, str]) -> int:
    """Run the Procfile's programs under honcho until one of them ends or the user stops them.

    honcho prefixes each log line with the name of its program.
    """
    honcho = [sys.executable, "-m", "honcho", "start", "web", "worker", "beat", "listen", "flower"]
    command = lifeline_command(honcho, stop_signal=signal.SIGTERM, grace_s=_STOP_GRACE_S, orphan_grace_s=_STOP_GRACE_S)
    programs = subprocess.Popen(
        command, stdin=subprocess.PIPE, env=dict(environment), cwd=_ROOT, start_new_session=True
    )
    try:
        return programs.wait()
    finally:
        programs.terminate()
        programs.wait()


if __name__ == "__main__":
    raise SystemExit(main())
