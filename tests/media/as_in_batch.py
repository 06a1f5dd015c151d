"""Runs a command as AWS Batch runs a container: `python -m tests.media.as_in_batch [WITHOUT...] -- COMMAND...`.

As the image's user, 10001, and as process 1 of its own, if this process is root; and under a
seccomp filter that denies new namespaces, as Docker's default profile does for a container without
capabilities. WITHOUT (`landlock`, `seccomp`) denies that, too, as older kernels and other runtimes do.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

from tasks.transcode.sandbox.command import module_command
from tasks.transcode.sandbox.seccomp import install_program, instruction

ROOT = Path(__file__).resolve().parents[2]
UID = 10001
COMMAND = (sys.executable, "-m", "tests.media.as_in_batch")

_LOAD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBERS = {
    "x86_64": {"clone": 56, "unshare": 272, "setns": 308, "prctl": 157, "seccomp": 317},
    "aarch64": {"clone": 220, "unshare": 97, "setns": 268, "prctl": 167, "seccomp": 277},
}[os.uname().machine]
_CLONE3 = 435
_LANDLOCK = range(444, 447)
_NEW_NAMESPACES = 0x7E020000
_PR_SET_SECCOMP = 22


def is_possible() -> bool:
    """Return False for root in a chroot whose project is in a folder that only root may enter.

    There, "/" is no mount point, so nothing can be mounted for one process alone.
    """
    mount_points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    closed = any(_first_closed(folder) for folder in _folders())
    return os.geteuid() != 0 or "/" in mount_points or not closed


def without_seccomp(module: str) -> list[str]:
    """Return the command of a sandbox's module that cannot install a seccomp filter, so that it may create processes.

    For `monkeypatch`, in place of `command.module_command`.
    """
    program = (
        f"import ctypes, os, sys; sys.path.insert(0, {str(ROOT)!r}); from tests.media import as_in_batch as batch;"
        "libc = ctypes.CDLL(None); libc.prctl(38, 1, 0, 0, 0);"
        "assert batch.install_program(libc, batch.filter_without(['seccomp'])); os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", program, *module_command(module)]


def main() -> None:
    separator = sys.argv.index("--")
    without, command = sys.argv[1:separator], sys.argv[separator + 1 :]
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, which a filter requires
    if os.geteuid() == 0:
        cwd = Path.cwd()
        _become_process_1(libc)
        _open_way_to(libc, _folders())
        os.chdir(cwd)
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG, which setuid clears
    assert install_program(libc, filter_without(without))
    assert libc.unshare(0x10000000) == -1, "user namespaces are not denied"
    os.execv(command[0], command)  # noqa: S606 - replacing this process is the purpose


@functools.cache
def has_own_processes() -> bool:
    """Return whether a command run this way sees no processes but its own, as in a container."""
    command = [*COMMAND, "--", sys.executable, "-c", "import os; print(os.getpid())"]
    return is_possible() and subprocess.run(command, capture_output=True, check=False, timeout=60).stdout == b"1\n"


def _become_process_1(libc: ctypes.CDLL) -> None:
    """Continue in a child that sees only itself in /proc, if the kernel allows it; wait for it here."""
    if libc.unshare(0x20020000) != 0:  # CLONE_NEWPID and CLONE_NEWNS
        return
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    for shared in (b"/", b"/proc"):  # in a chroot, only the second is a mount point
        libc.mount(b"none", shared, b"", ctypes.c_ulong(16384 | 1 << 18), None)
    assert libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(0), None) == 0


def _open_way_to(libc: ctypes.CDLL, folders: set[Path]) -> None:
    """Let other users reach folders below root's own: mount them, for this process, in empty folders in their place."""
    closed_by = {folder: closed for folder in folders if (closed := _first_closed(folder)) is not None}
    if not closed_by:
        return

    def mount(source: Path | str, target: Path | str, kind: str, flags: int, options: str | None = None) -> None:
        texts = [os.fsencode(each) for each in (source, target, kind)]
        assert libc.mount(*texts, ctypes.c_ulong(flags), options and options.encode()) == 0, (source, target)

    bind, recursive, private = 4096, 16384, 1 << 18
    assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
    mount("none", "/", "", recursive | private)
    held = {folder: os.open(folder, os.O_PATH) for folder in closed_by}
    for closed in set(closed_by.values()):
        mount("none", closed, "tmpfs", 0, "mode=755")
    for folder, descriptor in sorted(held.items()):
        folder.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", folder, "", bind | recursive)
        os.close(descriptor)


def _folders() -> set[Path]:
    return {Path(sys.base_prefix), Path(sys.prefix), Path.cwd()}


def _first_closed(folder: Path) -> Path | None:
    """Return the outermost folder above this one that only its owner may enter."""
    return next((parent for parent in reversed(folder.parents) if not parent.stat().st_mode & 0o001), None)


def filter_without(without: list[str]) -> list[bytes]:
    """Return the filter of a container, which also denies these walls."""
    program = [instruction(_LOAD, 0)]
    denied = {_NUMBERS["unshare"]: errno.EPERM, _NUMBERS["setns"]: errno.EPERM, _CLONE3: errno.ENOSYS}
    if "landlock" in without:
        denied |= dict.fromkeys(_LANDLOCK, errno.ENOSYS)
    if "seccomp" in without:
        denied[_NUMBERS["seccomp"]] = errno.ENOSYS
        program += _if_first_argument(_IF_EQUAL, _NUMBERS["prctl"], _PR_SET_SECCOMP, errno.EINVAL)
    program += _if_first_argument(_IF_ANY_BIT, _NUMBERS["clone"], _NEW_NAMESPACES, errno.EPERM)
    for number, error in denied.items():
        program += [instruction(_IF_EQUAL, number, 0, 1), instruction(_RETURN, _ERROR | error)]
    return [*program, instruction(_RETURN, _ALLOW)]


def _if_first_argument(test: int, number: int, value: int, error: int) -> list[bytes]:
    return [
        instruction(_IF_EQUAL, number, 0, 4),
        instruction(_LOAD, 16),
        instruction(test, value, 0, 1),
        instruction(_RETURN, _ERROR | error),
        instruction(_LOAD, 0),
    ]


if __name__ == "__main__":
    main()
