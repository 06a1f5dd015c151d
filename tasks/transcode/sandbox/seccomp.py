"""The seccomp filters of a child: no sockets, no other processes, no new namespaces, no changes to files.

The last is what Landlock leaves open: attributes of any file, and before its ABI 3 truncation. A second
filter lets another process watch what it reads.

It needs no privileges and no namespaces, so it also holds where user namespaces are denied, as in
Docker with its default profile. Everything that ffmpeg and PyAV do remains possible; anything else
here fails with EPERM. See seccomp(2) and, for the numbers, the kernel's arch/x86/entry/syscalls/
syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import os
import struct

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_EPERM = 0x00050000 | 1
_ENOSYS = 0x00050000 | 38
"""SECCOMP_RET_ERRNO with the error number."""

_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
"""BPF instructions: load 32 bits of `struct seccomp_data`, mask them, three conditional jumps, return."""

_NUMBER_AT, _ARCH_AT, _FIFTH_ARGUMENT_AT = 0, 4, 48
_ARGUMENTS_AT = (16, 24, 32)
"""Offsets in `struct seccomp_data`. Both architectures are little-endian."""

_AUDIT_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_FIRST_X32 = 0x40000000
"""On x86_64, numbers from here on are the x32 entries to the same system calls."""

_NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW* flags of clone(2), except CLONE_NEWTIME, which only unshare and clone3 accept."""

_THREAD = 0x10000
"""CLONE_THREAD. Without it, clone creates a process, whose CPU time would have a limit of its own: setrlimit(2)."""

_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
"""Its flags are in memory, where a filter cannot read them. With ENOSYS, the C library falls back
to clone.
"""

_OPEN = {"x86_64": 2}
_OPENAT = {"x86_64": 257, "aarch64": 56}
_OPENAT2 = 437
"""As for clone3: its flags are in memory."""
_ACCESS_MODE, _TRUNCATE = 0o3, 0o1000
"""O_ACCMODE and O_TRUNC of open(2)."""
_NOT_FOR_WRITING = (0, 3)
"""Access modes for which Landlock requires no right to write, although O_TRUNC writes."""

_ABSENT = -1

_DENIED: dict[str, tuple[int, int]] = {
    # The network, and every other way out: sockets of any family.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "connect": (42, 203),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "sendmmsg": (307, 269),
    "recvmmsg": (299, 243),
    # io_uring opens sockets and files without those system calls.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Asynchronous I/O reads files without the calls that `watch_reads` watches.
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    # Other processes: to create one needs clone, too. Memory and files of those of the same user.
    "fork": (57, _ABSENT),
    "vfork": (58, _ABSENT),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # Parts of the kernel that a decoder never needs, and where flaws were found.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # Mounts and namespaces.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_by_handle_at": (304, 265),
    # Size and attributes of files by their paths; ftruncate needs a file that is open for writing.
    "truncate": (76, 45),
    "chmod": (90, _ABSENT),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, _ABSENT),
    "fchown": (93, 55),
    "lchown": (94, _ABSENT),
    "fchownat": (260, 54),
    "utime": (132, _ABSENT),
    "utimes": (235, _ABSENT),
    "futimesat": (261, _ABSENT),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}
"""System call -> its numbers on x86_64 and aarch64, which has fewer."""


_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _GET_ACTION_AVAILABLE = 1, 2
_NEW_LISTENER = 1 << 3
_NOTIFY = 0x7FC00000
"""SECCOMP_RET_USER_NOTIF: the call waits until the holder of the listener has answered."""

READS: dict[str, tuple[int, int]] = {
    "read": (0, 63),
    "pread64": (17, 67),
    "readv": (19, 65),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    "sendfile": (40, 71),
    "splice": (275, 76),
    "copy_file_range": (326, 285),
    "mmap": (9, 222),
}
"""Every system call that gets bytes out of a file, by its numbers on x86_64 and aarch64.

io_uring and asynchronous I/O are denied.
"""

_NO_FILE = 0xFFFFFFFF
"""The file descriptor -1 as the lower half of a register: memory that is mapped without a file."""


def can_watch_reads(libc: ctypes.CDLL) -> bool:
    """Return whether this kernel can hand the reads of a child to another process (Linux 5.0, seccomp(2))."""
    machine = os.uname().machine
    if machine not in _SECCOMP:
        return False
    action = ctypes.c_uint32(_NOTIFY)
    return bool(libc.syscall(_SECCOMP[machine], _GET_ACTION_AVAILABLE, 0, ctypes.byref(action)) == 0)


def watch_reads(libc: ctypes.CDLL) -> int:
    """Let each of READS, by this process and all its children, wait for an answer, forever.

    Return the listener, a file descriptor at which another process receives and answers them (see
    `read_guard`); -1 if the kernel refuses. Requires PR_SET_NO_NEW_PRIVS. Install it before
    `install_filter`, while the listener can still be sent to that process.
    """
    machine = os.uname().machine
    if machine not in _SECCOMP:
        return -1
    column = list(_AUDIT_ARCHES).index(machine)
    *others, mmap = (numbers[column] for numbers in READS.values())
    to_notify = 4
    program = [
        instruction(_LOAD, _ARCH_AT),
        instruction(_IF_EQUAL, _AUDIT_ARCHES[machine], 1, 0),
        instruction(_RETURN, _ALLOW),  # another entry to the kernel, which `install_filter` denies
        instruction(_LOAD, _NUMBER_AT),
        *(
            instruction(_IF_EQUAL, number, len(others) - 1 - index + to_notify, 0)
            for index, number in enumerate(others)
        ),
        instruction(_IF_EQUAL, mmap, 0, 2),
        instruction(_LOAD, _FIFTH_ARGUMENT_AT),
        instruction(_IF_EQUAL, _NO_FILE, 0, 1),
        instruction(_RETURN, _ALLOW),
        instruction(_RETURN, _NOTIFY),
    ]
    header, _kept = _program_header(program)
    return int(libc.syscall(_SECCOMP[machine], _SET_MODE_FILTER, _NEW_LISTENER, header))


def install_filter(libc: ctypes.CDLL) -> bool:
    """Deny these system calls to this process and all its children, forever.

    Requires PR_SET_NO_NEW_PRIVS. Return False if the kernel or the architecture has no support.
    """
    machine = os.uname().machine
    return machine in _AUDIT_ARCHES and install_program(libc, _program(machine))


def install_program(libc: ctypes.CDLL, program: list[bytes]) -> bool:
    """Install a BPF program as a seccomp filter. Return False if the kernel refuses it."""
    header, _kept = _program_header(program)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)


def _program_header(program: list[bytes]) -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    """Return struct sock_fprog, which has the address of the instructions, and these, which must be kept."""
    instructions = ctypes.create_string_buffer(b"".join(program))
    return ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(instructions))), instructions


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one BPF instruction (struct sock_filter); jumps skip that many instructions."""
    return struct.pack("HBBI", code, if_true, if_false, value)


def _program(machine: str) -> list[bytes]:
    """Return the filter: other entries to the kernel and denied calls get EPERM, all else is allowed."""
    column = list(_AUDIT_ARCHES).index(machine)
    denied = [numbers[column] for numbers in _DENIED.values() if numbers[column] != _ABSENT]
    # A 32-bit entry (int 0x80) has another architecture and other numbers: all of it is denied.
    checks = [(_IF_AT_LEAST, _FIRST_X32), *((_IF_EQUAL, number) for number in denied)]
    end = [
        *_if_equal(_CLONE3, [instruction(_RETURN, _ENOSYS)]),
        *_if_equal(_OPENAT2, [instruction(_RETURN, _ENOSYS)]),
        *_if_equal(_CLONE[machine], _clone_checks()),
        *(_if_equal(_OPEN[machine], _open_checks(_ARGUMENTS_AT[1])) if machine in _OPEN else []),
        *_if_equal(_OPENAT[machine], _open_checks(_ARGUMENTS_AT[2])),
        instruction(_RETURN, _ALLOW),
        instruction(_RETURN, _EPERM),
    ]
    to_eperm = len(end) - 1
    return [
        instruction(_LOAD, _ARCH_AT),
        instruction(_IF_EQUAL, _AUDIT_ARCHES[machine], 0, 1 + len(checks) + to_eperm),
        instruction(_LOAD, _NUMBER_AT),
        *(
            instruction(code, value, len(checks) - 1 - index + to_eperm, 0)
            for index, (code, value) in enumerate(checks)
        ),
        *end,
    ]


def _if_equal(number: int, then: list[bytes]) -> list[bytes]:
    """Return `then`, which ends with a return, behind a jump over it for other system calls."""
    return [instruction(_IF_EQUAL, number, 0, len(then)), *then]


def _clone_checks() -> list[bytes]:
    return [
        instruction(_LOAD, _ARGUMENTS_AT[0]),
        instruction(_IF_ANY_BIT, _NEW_NAMESPACES, 1, 0),
        instruction(_IF_ANY_BIT, _THREAD, 1, 0),
        instruction(_RETURN, _EPERM),
        instruction(_RETURN, _ALLOW),
    ]


def _open_checks(flags_at: int) -> list[bytes]:
    """Deny truncation of a file that is not opened for writing."""
    reading, neither = (_TRUNCATE | mode for mode in _NOT_FOR_WRITING)
    return [
        instruction(_LOAD, flags_at),
        instruction(_AND, _TRUNCATE | _ACCESS_MODE),
        instruction(_IF_EQUAL, reading, 1, 0),
        instruction(_IF_EQUAL, neither, 0, 1),
        instruction(_RETURN, _EPERM),
        instruction(_RETURN, _ALLOW),
    ]
