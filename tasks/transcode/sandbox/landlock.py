"""The Landlock domain around a child: which files it may use, and no TCP, abstract sockets or signals to others.

Landlock needs no privileges (Linux 5.13 or newer, see landlock(7)). Newer kernels can restrict
more; `abi` returns what this one can.
"""

from __future__ import annotations

import ctypes
import os
import struct

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls; the same numbers on every architecture."""

_VERSION_FLAG = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _TRUNCATE = 1 << 5, 1 << 8, 1 << 14
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
"""Rights that a rule for a file, rather than a folder, may contain."""

_FILE_RIGHTS = ((1, 1 << 13), (2, 1 << 14), (3, 1 << 15), (5, 1 << 16))
"""(ABI, the first right that it does not have)."""

_TCP = 0b11
"""Binding and connecting, from ABI 4 on."""
_SCOPES = 0b11
"""Abstract UNIX sockets and signals, from ABI 6 on."""

RIGHTS = {
    "run": _READ_FILE | _READ_DIR | _EXECUTE,
    "read": _READ_FILE,
    "list": _READ_DIR,
    "write": _READ_FILE | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _REMOVE_FILE,
}
"""Kind of access -> rights. Below a `write` folder, regular files may be made, written, read back
and removed; ffmpeg reads its own output to move an index.
"""


def abi(libc: ctypes.CDLL) -> int:
    """Return the kernel's Landlock version, or 0 if it has none or none is enabled."""
    return max(0, int(_call(libc, _CREATE_RULESET, None, 0, _VERSION_FLAG)))


def restrict(libc: ctypes.CDLL, paths: dict[str, list[str]]) -> bool:
    """Restrict this process and its children to these paths, by kind of access (RIGHTS).

    Requires PR_SET_NO_NEW_PRIVS. Return False if the kernel has no Landlock. Paths that do not
    exist are left out.
    """
    version = abi(libc)
    if version == 0:
        return False
    handled = max(first for lowest, first in _FILE_RIGHTS if version >= lowest) - 1
    attributes = struct.pack("QQQ", handled, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)  # noqa: PLR2004 - ABIs, above
    ruleset = _call(libc, _CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    for kind, allowed in paths.items():
        for path in allowed:
            _allow(libc, ruleset, path, RIGHTS[kind] & handled)
    restricted = _call(libc, _RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return restricted


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):  # noqa: PTH112 - pathlib would double the launcher's time
        rights &= _ON_FILES
    rule = struct.pack("=Qi", rights, beneath)
    _call(libc, _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    os.close(beneath)


def _call(libc: ctypes.CDLL, number: int, *arguments: int | bytes | None) -> int:
    longs = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(libc.syscall(ctypes.c_long(number), *longs))
