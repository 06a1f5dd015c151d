"""What must hold for every output, whatever the source: one function that every test of the engine calls.

The list follows Apple's authoring specification for HLS, RFC 8216 and ISO/IEC 23009-1. It starts from what lies in the
folder, as a player does.
"""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from tasks.transcode.mp4.boxes import Fragment, FragmentReader
from tasks.transcode.mp4.init_segment import read_init
from tests.media.playlist_parser import (
    dash_seconds,
    hls_attributes,
    jpeg_size_px,
    read_dash,
    read_media_playlist,
    read_webvtt,
)

if TYPE_CHECKING:
    from tests.media.playlist_parser import MediaPlaylist, Representation

_SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "manifest.schema.json").read_text())
_AAC_FRAME_S = 1024 / 48_000
_WRITTEN_S = 1e-6
"""Playlists write durations in whole microseconds."""

_AUDIO_CUT_S = 2 * _AAC_FRAME_S
"""A cut of the sound waits for the end of a frame."""


def check_output(folder: Path) -> None:
    """Fail unless the output in `folder` keeps every rule that players rely on."""
    manifest = json.loads((folder / "manifest.json").read_text())
    Draft202012Validator(_SCHEMA).validate(manifest)
    variants = _check_master(folder, manifest)
    sounds = [manifest["audio"]["playlist"]] if manifest["audio"] else []
    playlists = {name: read_media_playlist(folder / name) for name in (*(name for _, name in variants), *sounds)}
    fragments = {name: _check_playlist(folder, playlist, manifest) for name, playlist in playlists.items()}
    if manifest["rungs"]:
        _check_alignment([fragments[name] for _, name in variants])
        for told, name in variants:
            _check_offer(folder, told, playlists[name], playlists.get("audio.m3u8"), manifest)
        _check_thumbnails(folder, manifest)
    else:
        _check_audio_only(variants, manifest)
    _check_i_frames(folder, manifest, fragments)
    _check_dash(folder, manifest, playlists)
    for track in manifest["captions"]:
        _check_captions(folder, track, manifest)


def _check_master(folder: Path, manifest: dict[str, Any]) -> list[tuple[dict[str, str], str]]:
    lines = (folder / manifest["master"]).read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    groups = [hls_attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:")]
    captions = [group["URI"] for group in groups if group["TYPE"] == "SUBTITLES"]
    assert captions == [track["playlist"] for track in manifest["captions"]]
    sounds = [group for group in groups if group["TYPE"] == "AUDIO"]
    assert len(sounds) == (1 if manifest["audio"] and manifest["rungs"] else 0)
    variants = [
        (hls_attributes(line), lines[at + 1]) for at, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF:")
    ]
    for told, _ in variants:
        assert told.get("SUBTITLES") == ("captions" if captions else None)
        assert told.get("AUDIO") == (sounds[0]["GROUP-ID"] if sounds else None)
    return variants


def _check_audio_only(variants: list[tuple[dict[str, str], str]], manifest: dict[str, Any]) -> None:
    """A recording without pictures is one variant, of the sound; its poster is a picture all the same."""
    ((told, name),) = variants
    audio = manifest["audio"]
    assert (name, told["CODECS"], int(told["BANDWIDTH"])) == (audio["playlist"], audio["codec"], audio["peak_bps"])
    assert (manifest["frame_rate"], manifest["thumbnails"]) == (None, None)
    assert [entry["role"] for entry in manifest["objects"]] == ["audio", "poster"]


def _check_playlist(folder: Path, playlist: MediaPlaylist, manifest: dict[str, Any]) -> list[list[Fragment]]:
    """Check one rung or the audio; return the fragments of each of its segments."""
    assert playlist.lines[-1] == "#EXT-X-ENDLIST"
    assert all(round(duration_s) <= playlist.target_s for duration_s in playlist.durations_s)
    assert len(playlist.pieces) == len(playlist.durations_s)
    init = playlist.init.read(folder)
    facts = read_init(init)
    segments, now = [], 0
    for piece, duration_s in zip(playlist.pieces, playlist.durations_s, strict=True):
        reader = FragmentReader()
        found = [fragment for content in (init, piece.read(folder)) for fragment in reader.take(content)]
        reader.close()
        assert found, f"{piece} holds no fragment"
        for fragment in found:
            assert fragment.decode_ticks == now, f"a gap or an overlap at tick {now} of {piece.url}"
            now += fragment.duration_ticks
        assert 0 in found[0].sync_samples, f"{piece} does not begin with a key frame"
        assert sum(fragment.duration_ticks for fragment in found) / facts.timescale == pytest.approx(
            duration_s, abs=_WRITTEN_S
        )
        segments.append(found)
    slack_s = _AAC_FRAME_S if facts.codec.startswith("mp4a") else _WRITTEN_S
    assert now / facts.timescale == pytest.approx(manifest["duration_s"], abs=slack_s)
    return segments


def _check_alignment(rungs: list[list[list[Fragment]]]) -> None:
    """Every rung has its segments and its key frames at the same times."""
    borders = {tuple(segment[0].decode_ticks for segment in rung) for rung in rungs}
    keys = {tuple(each.decode_ticks for segment in rung for each in segment) for rung in rungs}
    assert (len(borders), len(keys)) == (1, 1)
    for rung in rungs:
        assert all(fragment.sync_samples == (0,) for segment in rung for fragment in segment)


def _check_offer(
    folder: Path, told: dict[str, str], video: MediaPlaylist, audio: MediaPlaylist | None, manifest: dict[str, Any]
) -> None:
    parts = [part for part in (video, audio) if part is not None]
    codecs = [read_init(part.init.read(folder)).codec for part in parts]
    assert told["CODECS"] == ",".join(codecs)
    assert float(told["FRAME-RATE"]) == pytest.approx(float(Fraction(manifest["frame_rate"])), abs=5e-4)
    peak_bps = sum(_peak_bps(part) for part in parts)
    average_bps = sum(8 * sum(piece.size_bytes for piece in part.pieces) / sum(part.durations_s) for part in parts)
    # Durations in the playlist are rounded, which tells where there is but a picture.
    assert 0.9999 * peak_bps <= int(told["BANDWIDTH"]) <= 1.1 * peak_bps
    assert int(told["AVERAGE-BANDWIDTH"]) == pytest.approx(average_bps, rel=0.05)
    assert told["RESOLUTION"] in {f"{rung['width_px']}x{rung['height_px']}" for rung in manifest["rungs"]}
    # Profile no higher than High (0x64), level no higher than 4.2; Chromium refuses level 1b, written as 9.
    assert codecs[0].startswith("avc1.")
    assert int(codecs[0][5:7], 16) <= 0x64
    assert 10 <= int(codecs[0][9:11], 16) <= 42


def _peak_bps(playlist: MediaPlaylist) -> float:
    """RFC 8216, 4.3.4.2: the largest rate of any run of segments that lasts 0.5 to 1.5 target durations."""
    pairs = list(zip((8 * piece.size_bytes for piece in playlist.pieces), playlist.durations_s, strict=True))
    rates = [sum(bits for bits, _ in pairs) / sum(duration_s for _, duration_s in pairs)]
    for start, end in itertools.combinations(range(len(pairs) + 1), 2):
        run_s = sum(duration_s for _, duration_s in pairs[start:end])
        if 0.5 * playlist.target_s <= run_s <= 1.5 * playlist.target_s:
            rates.append(sum(bits for bits, _ in pairs[start:end]) / run_s)
    return max(rates)


def _check_i_frames(folder: Path, manifest: dict[str, Any], fragments: dict[str, list[list[Fragment]]]) -> None:
    for rung in manifest["rungs"]:
        i_frames = read_media_playlist(folder / rung["i_frame_playlist"])
        assert "#EXT-X-I-FRAMES-ONLY" in i_frames.lines
        assert all(round(duration_s) <= i_frames.target_s for duration_s in i_frames.durations_s)
        groups = [fragment for segment in fragments[rung["playlist"]] for fragment in segment]
        assert len(i_frames.pieces) == len(groups)
        for piece, fragment in zip(i_frames.pieces, groups, strict=True):
            content = piece.read(folder)
            assert content[4:8] == b"moof"
            assert len(content) == fragment.size_bytes - sum(fragment.sample_sizes[1:])
        assert sum(i_frames.durations_s) == pytest.approx(manifest["duration_s"], abs=len(groups) * _WRITTEN_S)


def _check_dash(folder: Path, manifest: dict[str, Any], playlists: dict[str, MediaPlaylist]) -> None:
    """DASH names the very ranges that HLS names, at the same times."""
    told, tracks = read_dash(folder / manifest["dash"])
    assert told["type"] == "static"
    assert float(dash_seconds(told["mediaPresentationDuration"])) == pytest.approx(manifest["duration_s"], abs=1e-6)
    summaries = {each["name"]: each for each in (*manifest["rungs"], manifest["audio"]) if each}
    assert list(tracks) == list(summaries)
    for name, track in tracks.items():
        playlist = playlists[f"{name}.m3u8"]
        assert (track.init, track.pieces) == (playlist.init, playlist.pieces)
        facts = read_init(track.init.read(folder))
        assert (track.timescale, track.attributes["codecs"]) == (facts.timescale, facts.codec)
        nominal_s = track.duration_ticks / track.timescale
        starts_s = list(itertools.accumulate(playlist.durations_s[:-1], initial=0.0))
        assert [number * nominal_s for number in range(len(starts_s))] == pytest.approx(starts_s, abs=_AUDIO_CUT_S)
        if summaries[name] is not manifest["audio"]:
            assert playlist.durations_s[:-1] == pytest.approx([nominal_s] * (len(starts_s) - 1), abs=_WRITTEN_S)
        _check_representation(track, summaries[name], manifest)


def _check_representation(track: Representation, summary: dict[str, Any], manifest: dict[str, Any]) -> None:
    told = track.attributes
    assert (told["segmentAlignment"], told["startWithSAP"]) == ("true", "1")
    assert int(told["bandwidth"]) == summary["peak_bps"]
    if summary is manifest["audio"]:
        assert (told["contentType"], int(told["audioSamplingRate"])) == ("audio", track.timescale)
    else:
        assert (told["width"], told["height"]) == (str(summary["width_px"]), str(summary["height_px"]))
        assert (told["sar"], Fraction(told["frameRate"])) == ("1:1", Fraction(manifest["frame_rate"]))


def _check_thumbnails(folder: Path, manifest: dict[str, Any]) -> None:
    """There is one thumbnail at any time, each a tile of its own that lies within its picture."""
    cues = read_webvtt(folder / manifest["thumbnails"])
    assert cues[0].start_s == 0
    assert float(cues[-1].end_s) == pytest.approx(manifest["duration_s"], abs=1e-3)
    assert all(cue.end_s == after.start_s for cue, after in itertools.pairwise(cues))
    tiles = [cue.lines[0] for cue in cues]
    assert len(set(tiles)) == len(tiles)
    sizes = set()
    for tile in tiles:
        url, _, place = tile.partition("#xywh=")
        x, y, width, height = map(int, place.split(","))
        whole_width, whole_height = jpeg_size_px((folder / url).read_bytes())
        assert x + width <= whole_width
        assert y + height <= whole_height
        assert (x % width, y % height) == (0, 0)
        sizes.add((width, height))
    assert len(sizes) == 1


def _check_captions(folder: Path, track: dict[str, Any], manifest: dict[str, Any]) -> None:
    """The playlist around a caption file lasts as long as the video, and its cues lie within that."""
    lines = (folder / track["playlist"]).read_text().splitlines()
    (duration_s,) = (float(line[8:].rstrip(",")) for line in lines if line.startswith("#EXTINF:"))
    (target_s,) = (int(line.partition(":")[2]) for line in lines if line.startswith("#EXT-X-TARGETDURATION:"))
    assert duration_s == pytest.approx(manifest["duration_s"], abs=_WRITTEN_S)
    assert round(duration_s) <= target_s
    assert lines[-2:] == [track["url"], "#EXT-X-ENDLIST"]
    assert "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n" in (folder / track["url"]).read_text()
    cues = read_webvtt(folder / track["url"])
    assert len(cues) == track["cues"] > 0
    assert [cue.start_s for cue in cues] == sorted(cue.start_s for cue in cues)
    assert all(0 <= cue.start_s < cue.end_s <= manifest["duration_s"] + 1e-3 for cue in cues)
    assert all(cue.lines for cue in cues)
    assert f"<BaseURL>{track['url']}</BaseURL>" in (folder / manifest["dash"]).read_text()
