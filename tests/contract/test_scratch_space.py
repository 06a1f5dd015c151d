"""Containers of one machine reserve space on its disk: a small real file system that several processes fill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings

from tasks.container.scratch.reservation import Reservation, ScratchTooSmallError
from tasks.services.container_api.scratch import DiskShares
from tasks.transcode import StoppedError

if TYPE_CHECKING:
    from pytest_django import Settings

MIB = 1024 * 1024
SOURCE_MIB, RESERVE_MIB, FLOOR_MIB, DISK_MIB = 100, 64, 5 * 32, 512
CONTAINERS = 4
ALONE = DiskShares(held_mib=0, ahead_mib=())
FIT = 2
"""Two reservations leave 512 - 2 * (100 + 64) = 184 MiB, which is no room for a third one and the floor."""

PROGRAM = f"""
import sys, threading
from pathlib import Path
import django
django.setup()
from tasks.container.scratch import reservation
from tasks.container.scratch.reservation import Reservation, ScratchTooSmallError
from tasks.services.container_api.scratch import DiskShares

ALONE = DiskShares(held_mib=0, ahead_mib=())
reservation._SHORTEST_PAUSE_S, reservation._LONGEST_PAUSE_S = 0.1, 0.3
folder = Path(sys.argv[1])
folder.mkdir()
source = folder / "source"
with Reservation(folder) as reserved:
    sys.stdin.readline()
    try:
        reserved.reserve(source, ((0, {SOURCE_MIB * MIB}),), shares=lambda _: ALONE, progress=lambda _: None, stop=threading.Event())
    except ScratchTooSmallError:
        sys.exit(3)
    print("reserved", flush=True)
    sys.stdin.readline()
    # The space is there although everybody wants it.
    source.open("r+b").write(bytes({SOURCE_MIB * MIB}))
    (folder / "unit").mkdir()
    (folder / "unit" / "720p.mp4").write_bytes(bytes({RESERVE_MIB * MIB}))
    print("written", flush=True)
"""


def mounted(folder: Path, *command: str) -> list[str]:
    """Return a command that runs `command` in namespaces of its own, with a small disk mounted on the folder."""
    script = f'mount -t tmpfs -o size={DISK_MIB}m none "$1" && shift && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-c", script, "sh", str(folder), *command]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return a folder on which `mounted` can mount a disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(mounted(folder, "true"), capture_output=True, check=False, timeout=30).returncode:
        pytest.skip("this machine allows no mount namespaces")
    return folder


STARTER = f"""
import subprocess, sys
program, disk = sys.argv[1:]
containers = [
    subprocess.Popen([sys.executable, "-c", program, f"{{disk}}/{{number}}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for number in range({CONTAINERS})
]
for each in containers:
    each.stdin.write("go\\n")
    each.stdin.flush()
ends = []
for each in containers:
    first = each.stdout.readline().strip()
    ends.append(first or each.wait())
holders = [each for each, end in zip(containers, ends) if end == "reserved"]
for each in holders:
    each.stdin.write("write\\n")
    each.stdin.flush()
print(sorted(map(str, ends)), [each.stdout.readline().strip() for each in holders], [each.wait() for each in holders])
"""


def test_containers_share_a_disk_without_filling_it_when_they_start_together(disk: Path) -> None:
    numbers = {
        "scratch_reserve_mib": RESERVE_MIB,
        "scratch_floor_mib": FLOOR_MIB,
        "machine_hold_s": 8,
    }
    environment = {**os.environ, "BATCHREEL": json.dumps(numbers)}
    done = subprocess.run(
        mounted(disk, sys.executable, "-c", STARTER, PROGRAM, str(disk)),
        env=environment,
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    left = ["3"] * (CONTAINERS - FIT)
    assert done.stdout.strip() == f"{[*left, *['reserved'] * FIT]} {['written'] * FIT} {[0] * FIT}", done.stderr


def test_ballast_shrinks_and_grows_when_files_of_units_come_and_go(settings: Settings, tmp_path: Path) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": 100, "scratch_floor_mib": 1}
    reservation = Reservation(tmp_path)
    reservation.reserve(
        tmp_path / "source", ((0, MIB),), shares=lambda _: ALONE, progress=lambda _: None, stop=threading.Event()
    )
    ballast = tmp_path / "ballast"
    assert (tmp_path / "source").stat().st_blocks * 512 >= MIB, "the source has no blocks on the disk"
    assert ballast.stat().st_blocks * 512 >= 100 * MIB
    unit = tmp_path / "video-0000-1"
    unit.mkdir()
    (unit / "720p.mp4").write_bytes(bytes(40 * MIB))
    reservation.adjust()
    assert ballast.stat().st_size == (100 - 32 - 40) * MIB
    (unit / "720p.mp4").unlink()
    reservation.adjust()
    assert ballast.stat().st_size == (100 - 32) * MIB
    (unit / "720p.mp4").write_bytes(bytes(200 * MIB))
    reservation.adjust()
    assert ballast.stat().st_size == 0


def _more_than_free_mib(folder: Path) -> int:
    usage = shutil.disk_usage(folder)
    return (usage.free + usage.total) // 2 // MIB


@pytest.mark.parametrize("held_mib", [2**40, None], ids=["known", "unknown"])
def test_container_waits_when_a_neighbour_holds_the_room(
    held_mib: int | None, settings: Settings, tmp_path: Path
) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": _more_than_free_mib(tmp_path), "machine_hold_s": 0}
    assert_waits(tmp_path, DiskShares(held_mib=held_mib, ahead_mib=()))


def test_container_waits_when_an_earlier_one_waits_for_the_room(settings: Settings, tmp_path: Path) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": 1, "scratch_floor_mib": 1, "machine_hold_s": 0}
    assert_waits(tmp_path, DiskShares(held_mib=2**40, ahead_mib=(_more_than_free_mib(tmp_path),)))


def assert_waits(folder: Path, shares: DiskShares) -> None:
    """Assert that a container waits, with nothing allocated, although it would leave at once without hope."""
    waited: list[int] = []
    stop = threading.Event()

    def progress(count: int) -> None:
        waited.append(count)
        stop.set()

    with pytest.raises(StoppedError):
        Reservation(folder).reserve(
            folder / "source", ((0, MIB),), shares=lambda _: shares, progress=progress, stop=stop
        )
    assert waited == [1]
    assert not list(folder.iterdir())


def test_container_leaves_with_the_figures_when_nobody_will_release_room(settings: Settings, tmp_path: Path) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": _more_than_free_mib(tmp_path), "machine_hold_s": 0}
    assert_leaves(tmp_path, ALONE)


def test_container_leaves_at_once_when_the_whole_disk_is_too_small(settings: Settings, tmp_path: Path) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": shutil.disk_usage(tmp_path).total // MIB + 1}
    assert_leaves(tmp_path, DiskShares(held_mib=None, ahead_mib=()))


def assert_leaves(folder: Path, shares: DiskShares) -> None:
    """Assert that a container leaves without a pause, with nothing allocated."""
    reservation = Reservation(folder)
    stop = threading.Event()
    with pytest.raises(ScratchTooSmallError, match=r"needs .* GiB with the files made from it .* GiB are free"):
        reservation.reserve(
            folder / "source", ((0, MIB),), shares=lambda _: shares, progress=lambda _: stop.set(), stop=stop
        )
    reservation.adjust()
    assert not list(folder.iterdir())


def test_only_fetched_ranges_take_room_when_the_source_is_sparse(settings: Settings, tmp_path: Path) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": 1, "scratch_floor_mib": 1}
    reservation, source = Reservation(tmp_path), tmp_path / "source"
    terabyte = 1024**4
    wanted: list[int] = []

    def shares(mib: int) -> DiskShares:
        wanted.append(mib)
        return ALONE

    reserve = partial(reservation.reserve, source, shares=shares, progress=lambda _: None, stop=threading.Event())
    reserve(((0, MIB), (terabyte - MIB, terabyte)))
    assert source.stat().st_size == terabyte
    assert 2 * MIB <= source.stat().st_blocks * 512 < 3 * MIB
    assert reservation.held_mib == 3
    reserve(((MIB, 5 * MIB),))
    assert 6 * MIB <= source.stat().st_blocks * 512 < 7 * MIB
    assert reservation.held_mib == 7
    reserve(((0, 2 * MIB),))
    assert reservation.held_mib == 7
    assert wanted == [3, 4], "others would wait behind more than it waits for"


def test_slot_gets_room_when_another_one_waits_for_more(settings: Settings, tmp_path: Path) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": 1, "scratch_floor_mib": 1}
    reservation, source = Reservation(tmp_path), tmp_path / "source"
    others = DiskShares(held_mib=2**40, ahead_mib=())
    is_waiting, stop = threading.Event(), threading.Event()
    everything = ((0, _more_than_free_mib(tmp_path) * MIB),)
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(
            partial(reservation.reserve, source, everything, shares=lambda _: others, stop=stop),
            progress=lambda _: is_waiting.set(),
        )
        try:
            assert is_waiting.wait(60)
            reservation.reserve(
                source, ((0, MIB),), shares=lambda _: others, progress=lambda _: None, stop=threading.Event()
            )
            assert not large.done()
        finally:
            stop.set()
        with pytest.raises(StoppedError):
            large.result(60)
    assert reservation.held_mib == 2


def test_room_is_released_when_more_of_the_source_does_not_fit(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BATCHREEL = {"scratch_reserve_mib": 1, "scratch_floor_mib": 1, "machine_hold_s": 0}
    reservation, source = Reservation(tmp_path), tmp_path / "source"
    reserve = partial(
        reservation.reserve, source, shares=lambda _: ALONE, progress=lambda _: None, stop=threading.Event()
    )
    reserve(((0, MIB),))
    source.write_bytes(b"x" * MIB)
    with pytest.raises(ScratchTooSmallError):
        reserve(((MIB, 1024**5),))
    # Another container was faster: the room was there when this one looked, and is not any more.
    monkeypatch.setattr(reservation, "_floor_bytes", 1024**6)
    assert not reservation._allocate(source, ((0, 4 * MIB),))
    assert source.stat().st_blocks * 512 < 2 * MIB
    assert source.read_bytes()[:MIB] == b"x" * MIB
    assert (tmp_path / "ballast").exists()
