"""A child cannot read what is missing of a file, whichever system call it uses, and cannot escape the guard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import EncodeError, can_guard_reads
from tasks.transcode.sandbox import read_guard
from tasks.transcode.sandbox.limits import ChildLimits
from tasks.transcode.sandbox.process import run_child
from tasks.transcode.sandbox.read_guard import PartialFile

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.transcode import ByteRanges

pytestmark = pytest.mark.skipif(not can_guard_reads(), reason="this kernel cannot hand reads to another process")

KIB = 1024
SIZE_BYTES = 256 * KIB
PRESENT: ByteRanges = ((0, 64 * KIB), (128 * KIB, SIZE_BYTES))
LIMITS = ChildLimits(memory_bytes=512 * KIB * KIB, cpu_s=20, file_bytes=SIZE_BYTES, idle_s=20)

START = """
import mmap, os, sys
source, other = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
first, size = map(int, CASE)
"""
READS = {
    "read": "os.lseek(source, first, 0); print(len(os.read(source, size)))",
    "read of a copy of the descriptor": "os.lseek(source, first, 0); print(len(os.read(os.dup(source), size)))",
    "pread": "print(len(os.pread(source, size, first)))",
    "readv": "os.lseek(source, first, 0); print(os.readv(source, [bytearray(size)]))",
    "preadv": "print(os.preadv(source, [bytearray(size)], first))",
    "mmap": "print(len(mmap.mmap(source, size, prot=mmap.PROT_READ)[:]))",
    "sendfile": "print(os.sendfile(1, source, first, size))",
}
OTHER_FILE = {
    "another file": "os.read(source, 1); print(len(os.read(other, 9)), len(mmap.mmap(other, 5, prot=mmap.PROT_READ)[:]))"
}
RANGED = {"read", "read of a copy of the descriptor", "pread"}
"""Calls whose range is checked; all others may not be used on a file with holes."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(bytes(range(256)) * KIB)
    return path


def read_in_child(
    file: Path, call: str, first: int, size: int, *, present: ByteRanges = PRESENT, guarded: Path | None = None
) -> str:
    """Return what a child writes that reads the file with this call."""
    other = file.with_name("other")
    other.write_bytes(b"other")
    output = bytearray()
    code = START.replace("CASE", repr((first, size))) + (READS | OTHER_FILE)[call]
    end = run_child(
        [sys.executable, "-I", "-S", "-c", code, str(file), str(other)],
        limits=LIMITS,
        on_output=output.extend,
        paths={"read": [file, other]},
        partial_file=PartialFile(guarded or file, present),
    )
    return f"{output.decode(errors='replace').strip()}{end.stderr}"


@pytest.mark.parametrize("call", READS)
def test_child_is_stopped_when_it_reads_a_hole(call: str, file: Path) -> None:
    with pytest.raises(EncodeError, match="HOLE_READ"):
        read_in_child(file, call, 100 * KIB, KIB)


@pytest.mark.parametrize(
    ("first", "size"), [(64 * KIB - 1, 2), (128 * KIB - 1, 1), (0, SIZE_BYTES)], ids=["end", "start", "all"]
)
def test_child_is_stopped_when_one_byte_of_a_read_is_missing(first: int, size: int, file: Path) -> None:
    with pytest.raises(EncodeError, match="HOLE_READ"):
        read_in_child(file, "read", first, size)


@pytest.mark.parametrize("call", sorted(RANGED))
def test_child_reads_undisturbed_when_all_is_present(call: str, file: Path) -> None:
    assert read_in_child(file, call, 128 * KIB, 64 * KIB) == str(64 * KIB)
    # Beyond the end of the file there is nothing that could be missing.
    assert read_in_child(file, call, SIZE_BYTES - 10, KIB) == "10"


def test_child_reads_other_files_undisturbed_when_one_is_guarded(file: Path) -> None:
    assert read_in_child(file, "another file", 0, 0, present=((0, 1),)) == "5 5"


def test_reads_are_unwatched_when_the_file_is_not_recognized(file: Path) -> None:
    # As on a file system that shows another inode to each process.
    guarded = file.with_name("guarded")
    guarded.write_bytes(file.read_bytes())
    with pytest.raises(EncodeError, match="READS_UNWATCHED"):
        read_in_child(file, "read", 0, KIB, guarded=guarded)


def test_child_does_not_continue_when_nobody_watches_its_reads(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_guard, "_RECEIVE", 0)
    with pytest.raises(EncodeError, match=r"READS_UNWATCHED.*cannot be watched"):
        read_in_child(file, "read", 0, KIB)


def test_child_is_not_started_when_the_guard_does_not_listen(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise ConnectionResetError(104, "the guard has ended")

    monkeypatch.setattr(read_guard.ReadGuard, "_listener", refuse)
    with pytest.raises(EncodeError, match=r"READS_UNWATCHED.*cannot be watched"):
        read_in_child(file, "read", 0, KIB)
