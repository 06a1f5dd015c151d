"""A decoder gets nothing of its container, on machines like those of AWS Batch: each wall is tried from inside."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.transcode import landlock_abi, try_walls
from tasks.transcode.sandbox import command
from tasks.transcode.sandbox.limits import ChildLimits
from tasks.transcode.sandbox.process import run_child
from tests.media.as_in_batch import COMMAND, UID, has_own_processes, is_possible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
SECRET = "postgres://role:canary@database/videos"
CONTAINER = """
import json, sys
from dataclasses import asdict
from tasks.transcode import try_walls
from tasks.transcode.sandbox.privacy import hide_process
hide_process()
walls = try_walls(metadata=(sys.argv[1], int(sys.argv[2])))
print(json.dumps({**asdict(walls), "breaches": walls.breaches}))
"""
"""What the container program does first, and then a child that tries to break out."""
UNCONFINED = """
import json, subprocess, sys
from tasks.transcode.sandbox.command import module_command
subprocess.run([*module_command("breakout"), *sys.argv[1:]], check=True)
"""
"""The same child without any wall."""


_AS_IN_BATCH = pytest.mark.skipif(
    not is_possible(), reason="the image's user cannot reach a project below root's own folder in a chroot"
)

_IN_OWN_PROCESSES = pytest.mark.skipif(
    not has_own_processes(),
    reason="only root can leave the processes of this machine, whose environments are no secret",
)
BELOW_INIT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CONTAINER!r}, *sys.argv[1:]], check=True)"
"""The same below an init process, which has the container's environment and does not hide it."""


@pytest.fixture
def metadata_service() -> Iterator[tuple[str, int]]:
    """Yield the address of a local server that stands for the instance metadata service."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


def _as_in_batch(program: str, *arguments: object, without: tuple[str, ...] = ()) -> dict[str, Any]:
    ran = subprocess.run(
        [*COMMAND, *without, "--", sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        env={"DATABASE_URL": SECRET, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def _lines_of(program: str) -> list[str]:
    """Return what a child prints that runs this Python program."""
    printed = bytearray()
    limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=0)
    end = run_child([sys.executable, "-c", program], limits=limits, on_output=printed.extend)
    assert end.returncode == 0, end.stderr
    return printed.decode().splitlines()


@_AS_IN_BATCH
def test_child_gets_nothing_of_its_container_when_user_namespaces_are_denied(
    metadata_service: tuple[str, int],
) -> None:
    assert landlock_abi() > 0, "this kernel has no Landlock, so one of the walls cannot be tested"
    assert _as_in_batch(CONTAINER, *metadata_service) == {
        "environment_bytes": 0,
        "sockets": 0,
        "metadata": False,
        "foreign_bytes": 0,
        "foreign_writes": False,
        "breaches": [],
    }


@_IN_OWN_PROCESSES
def test_child_has_neither_network_nor_credentials_when_the_kernel_has_no_landlock(
    metadata_service: tuple[str, int],
) -> None:
    found = _as_in_batch(CONTAINER, *metadata_service, without=("landlock",))
    assert (found["environment_bytes"], found["sockets"], found["metadata"]) == (0, 0, False)
    assert found["breaches"] == ["files"]


@_IN_OWN_PROCESSES
def test_environment_of_an_init_process_is_found_when_the_kernel_has_no_landlock(
    metadata_service: tuple[str, int],
) -> None:
    found = _as_in_batch(BELOW_INIT, *metadata_service, without=("landlock",))
    assert found["environment_bytes"] >= len(SECRET)
    assert "environment" in found["breaches"]


@_AS_IN_BATCH
def test_child_reaches_no_server_when_the_runtime_denies_seccomp_filters(metadata_service: tuple[str, int]) -> None:
    assert landlock_abi() >= 4, "this kernel's Landlock does not restrict TCP"
    found = _as_in_batch(CONTAINER, *metadata_service, without=("seccomp",))
    assert found["breaches"] == ["network"]
    assert (found["environment_bytes"], found["metadata"]) == (0, False)


def test_child_leaves_no_bytecode_when_its_code_has_none_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "sandbox"
    shutil.copytree(Path(command.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(command, "_FOLDER", package)
    monkeypatch.setattr(command, "SEARCHED", tmp_path)
    # Without arguments it fails, after it was imported.
    subprocess.run(command.module_command("breakout"), capture_output=True, timeout=60, check=False)
    assert not list(package.rglob("*.pyc"))


@_AS_IN_BATCH
def test_every_breach_is_detected_when_there_are_no_walls(metadata_service: tuple[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # noqa: S103, PTH101 - for the user of the image
        secret = Path(folder, "secret")
        secret.write_bytes(b"secret")
        found = _as_in_batch(UNCONFINED, *metadata_service, secret, folder)
    assert found["environment_bytes"] >= len(SECRET)
    assert found["sockets"] >= 3
    assert (found["metadata"], found["foreign_bytes"], found["foreign_writes"]) == (True, 6, True)


def test_walls_hold_when_they_are_tried_on_this_machine(metadata_service: tuple[str, int]) -> None:
    assert try_walls(metadata=metadata_service).breaches == ()


OTHER_ENTRIES = r"""
import ctypes, errno, mmap
libc = ctypes.CDLL(None, use_errno=True)
found = {}
by_other_numbers = (("x32 socket", 41 | 0x40000000), ("x32 getpid", 39 | 0x40000000))
for name, number in (*by_other_numbers, ("ptrace", 101), ("io_uring", 425), ("io_setup", 206)):
    found[name] = -ctypes.get_errno() if libc.syscall(number, 2, 1, 0) < 0 else 0
print(found)
# socket(AF_INET, SOCK_STREAM, 0) by its 32-bit number: push rbx; mov eax, 359; mov ebx, 2; mov ecx, 1; xor edx, edx;
# int 0x80; pop rbx; ret
code = bytes.fromhex("53 b867010000 bb02000000 b901000000 31d2 cd80 5b c3")
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("32-bit socket", call())
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers and the machine code are those of x86_64")
def test_child_opens_no_socket_when_it_calls_the_kernel_by_another_entry() -> None:
    first, second = _lines_of(OTHER_ENTRIES)
    assert first == "{'x32 socket': -1, 'x32 getpid': -1, 'ptrace': -1, 'io_uring': -1, 'io_setup': -1}"
    assert second == "32-bit socket -1"


def test_child_sees_only_its_own_files_when_it_looks_around(tmp_path: Path) -> None:
    source, secret, output = tmp_path / "source", tmp_path / "secret", tmp_path / "output"
    source.write_bytes(b"source")
    secret.write_bytes(b"secret")
    output.mkdir()
    program = f"""
import os
def attempt(name, act):
    try:
        act()
    except OSError as error:
        print(name, type(error).__name__)
    else:
        print(name, "allowed")
attempt("read source", lambda: open({str(source)!r}).read())
attempt("write source", lambda: open({str(source)!r}, "a"))
attempt("write output", lambda: open({str(output / "a")!r}, "w"))
attempt("read output", lambda: open({str(output / "a")!r}).read())
attempt("remove output", lambda: os.remove({str(output / "a")!r}))
attempt("read secret", lambda: open({str(secret)!r}).read())
attempt("list", lambda: os.listdir({str(tmp_path)!r}))
attempt("make elsewhere", lambda: open({str(tmp_path / "b")!r}, "w"))
attempt("link", lambda: os.symlink({str(secret)!r}, {str(output / "l")!r}))
attempt("parent", lambda: open(f"/proc/{{os.getppid()}}/environ").read())
attempt("signal", lambda: os.kill(os.getppid(), 0))
"""
    printed = bytearray()
    run_child(
        [sys.executable, "-c", program],
        limits=ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=MIB),
        on_output=printed.extend,
        paths={"read": [source], "write": [output]},
    )
    expected = dict.fromkeys(("read source", "write output", "read output", "remove output"), "allowed")
    denied = ("write source", "read secret", "list", "make elsewhere", "link", "parent")
    expected |= dict.fromkeys(denied, "PermissionError")
    if landlock_abi() >= 6:
        expected["signal"] = "PermissionError"
    found = dict(line.rsplit(" ", 1) for line in printed.decode().splitlines())
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    "attempt",
    [
        "os.truncate(path, 0)",
        "os.open(path, os.O_RDONLY | os.O_TRUNC)",
        "os.open(path, os.O_ACCMODE | os.O_TRUNC)",
        "os.chmod(path, 0o600)",
        "os.chown(path, os.getuid(), os.getgid())",
        "os.utime(path)",
        "os.setxattr(path, 'user.a', b'b')",
    ],
)
def test_child_changes_no_file_by_its_path_when_landlock_would_allow_it(attempt: str, tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"kept")
    program = f"import errno, os\npath = {str(path)!r}\ntry: {attempt}\nexcept OSError as error: print(errno.errorcode[error.errno])"
    printed = bytearray()
    limits = ChildLimits(memory_bytes=512 * MIB, cpu_s=10, file_bytes=MIB)
    run_child([sys.executable, "-c", program], limits=limits, on_output=printed.extend, paths={"write": [tmp_path]})
    # Of the filter: Landlock responds with EACCES.
    assert (printed, path.read_bytes()) == (b"EPERM\n", b"kept")


ORPHANS = """
import ctypes, sys
from pathlib import Path
from tasks.transcode.sandbox import process
from tasks.transcode.sandbox.limits import ChildLimits
from tests.media.as_in_batch import without_seccomp
process.module_command = without_seccomp
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come here, as to process 1 of a container
child = '''
import os, signal
if os.fork() == 0:
    os.closerange(0, 3)
    signal.pause()
'''
limits = ChildLimits(memory_bytes=2**29, cpu_s=10, file_bytes=0)
end = process.run_child([sys.executable, "-c", child], limits=limits, on_output=print)
print(end.returncode, Path("/proc/thread-self/children").read_text())
"""
"""A container's process, and a child that ends while processes that it started are waiting."""


@pytest.mark.timeout(60)
def test_child_leaves_no_process_behind_when_the_kernel_has_no_seccomp_filter() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ORPHANS], cwd=ROOT, capture_output=True, text=True, check=True, timeout=50
    )
    assert ran.stdout == "0 \n"


PROCESSES = """
import ctypes, errno, os, threading
libc = ctypes.CDLL(None, use_errno=True)
def made(make):
    try:
        child = make()
    except OSError as error:
        return errno.errorcode[error.errno]
    if child == 0:
        os._exit(0)
    return "made"
def call(number, *arguments):
    child = libc.syscall(number, *arguments)
    if child < 0:
        raise OSError(ctypes.get_errno(), "")
    return child
print(made(os.fork), made(lambda: os.posix_spawn("/bin/true", ["true"], {})))
print(*(made(lambda: call(number, 17, 0, 0, 0, 0)) for number in (56, 57)), made(lambda: call(435, 0, 0)))
thread = threading.Thread(target=print, args=("a thread",))
thread.start()
thread.join()
"""
"""All ways to create a process; SIGCHLD is 17. vfork is left out, since its child would share this stack."""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_child_creates_no_process_when_it_would_have_its_own_cpu_limit() -> None:
    assert _lines_of(PROCESSES) == ["EPERM EPERM", "EPERM EPERM ENOSYS", "a thread"]


@pytest.mark.long
@pytest.mark.parametrize(
    "modules", [("test_hostile_pointers.py",), ("test_hostile.py", "test_safety.py")], ids=["pointers", "all others"]
)
@pytest.mark.timeout(1_200)
@_AS_IN_BATCH
def test_hostile_files_do_no_harm_when_they_are_decoded_as_in_batch(
    modules: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    folder = tempfile.mkdtemp(prefix="as-in-batch-")
    if os.geteuid() == 0:
        os.chown(folder, UID, UID)
    ran = subprocess.run(
        [
            *(*COMMAND, "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"),
            *("-o", "addopts=", "-m", "not long", f"--basetemp={folder}/tests"),
            *(str(ROOT / "tests" / "media" / name) for name in modules),
        ],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "SECRET_KEY": "of this test",
            "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=1_100,
    )
    summary = ran.stdout.splitlines()[-1]
    record_property("tests", summary)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert re.fullmatch(r"\d+ passed(, \d+ deselected)? in .*", summary), summary
