"""References in a file are never followed: no other file is opened, and no server is contacted."""

from __future__ import annotations

import dataclasses
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import TranscodeError, encode_audio, encode_video, make_plan, probe_source
from tasks.transcode.probe.sniff import sniff_demuxer
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary
from tests.media.canaries import CARRIERS, SCRIPTS, Canaries
from tests.media.clips import make_clip
from tests.media.runs import SMALL
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tasks.transcode import Plan

DEMUXERS = ("mov", "matroska", "avi", "mpegts", "flv", "ogg", "asf", "mpeg", "mxf")
ENDINGS = {"AVI": "avi", "MOV": "mov", "MP4": "mp4", "Matroska": "mkv"}


@pytest.fixture
def canaries(tmp_path: Path) -> Iterator[Canaries]:
    with Canaries(tmp_path) as canaries:
        yield canaries


@pytest.fixture(scope="module")
def good_plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Return the plan of a good clip with audio, for files that are exchanged after the probe."""
    clip = make_clip(tmp_path_factory.mktemp("good") / "a.mp4", frames=20, audio_s=0.6)
    return make_plan(probe_source(clip), SMALL, threads=1)


def _try(step: Callable[[], object]) -> None:
    """Do one step; it may fail, but only with one of the engine's errors."""
    with suppress(TranscodeError):
        step()


def _engine_reads(path: Path, plan: Plan, folder: Path, *, demuxers: tuple[str, ...]) -> None:
    """Pass the file to every part of the engine that opens a user's file."""

    def encode(plan: Plan) -> None:
        callbacks = {"progress": lambda _: None, "stop": threading.Event()}
        _try(lambda: encode_video(path, plan, 0, folder, **callbacks))
        _try(lambda: encode_audio(path, plan, 0, folder, **callbacks))

    _try(lambda: encode(make_plan(probe_source(path), SMALL, threads=1)))
    for demuxer in demuxers:
        encode(dataclasses.replace(plan, demuxer=demuxer))


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", SCRIPTS)
def test_engine_opens_no_other_file_when_a_script_is_named_as_a_video(
    kind: str, canaries: Canaries, good_plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / "lecture.mp4"
    demuxers = DEMUXERS if kind == "HLS playlist" else ("mov",)
    for target in (str(canaries.path), f"file://{canaries.path}", canaries.url):
        path.write_bytes(SCRIPTS[kind](target))
        _engine_reads(path, good_plan, tmp_path, demuxers=demuxers if target == str(canaries.path) else ())
    assert canaries.touched() == []


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", CARRIERS)
def test_engine_opens_no_other_file_when_a_video_refers_to_one(
    kind: str, canaries: Canaries, good_plan: Plan, tmp_path: Path
) -> None:
    path = tmp_path / f"lecture.{ENDINGS[kind.partition(' ')[0]]}"
    for target in (str(canaries.path), canaries.url):
        CARRIERS[kind](path, target)
        _engine_reads(path, good_plan, tmp_path, demuxers=(sniff_demuxer(path),))
    assert canaries.touched() == []


CARELESS = {
    "HLS playlist": ("-f", "hls"),
    "ffconcat": ("-safe", "0"),
    "MOV with its samples elsewhere": ("-enable_drefs", "1", "-use_absolute_path", "1"),
}


@pytest.mark.parametrize("kind", CARELESS)
def test_canary_file_detects_access_when_a_reader_follows_references(
    kind: str, canaries: Canaries, tmp_path: Path
) -> None:
    path = tmp_path / "lecture.mp4"
    if kind in SCRIPTS:
        path.write_bytes(SCRIPTS[kind](str(canaries.path)))
    else:
        CARRIERS[kind](path, str(canaries.path))
    assert _touched_by_careless_ffmpeg(canaries, path, *CARELESS[kind]) == ["file"]


def test_canary_server_detects_access_when_a_reader_connects(canaries: Canaries, tmp_path: Path) -> None:
    path = tmp_path / "lecture.mp4"
    path.write_bytes(SCRIPTS["HLS playlist"](canaries.url))
    options = ("-protocol_whitelist", "file,http,tcp", "-f", "hls")
    assert _touched_by_careless_ffmpeg(canaries, path, *options) == ["server"]


def _touched_by_careless_ffmpeg(canaries: Canaries, path: Path, *options: str) -> list[str]:
    """Return what ffmpeg with these options touches first, then kill it."""
    command = [ffmpeg_binary(), "-nostdin", "-v", "quiet", *options, "-i", str(path), "-f", "null", "-"]
    with subprocess.Popen(command) as reader:
        try:
            # A connection to the server is reported only once, so the first result counts.
            return wait_for(canaries.touched, limit_s=30, what="a touch of a canary")
        finally:
            reader.kill()
