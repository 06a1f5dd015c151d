"""Checks that every output must pass, whatever the source: one function that every test of the engine calls.

The checks follow Apple's authoring specification for HLS, RFC 8216 and ISO/IEC 23009-1. They start
from the files in the folder, as a player does.
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

_SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "manifest.schema.json").read_text())
_AAC_FRAME_S = 1024 / 48_000
_WRITTEN_S = 1e-6
"""Durations in playlists are rounded to microseconds."""

_AUDIO_CUT_S = 2 * _AAC_FRAME_S
"""Audio can only be cut at the end of a frame."""


def check_output(folder: Path) -> None:
    """Fail unless the output in `folder` follows every rule that players rely on."""
    manifest = json.loads((folder / "manifest.json").read_text())
    Draft202012Validator(_SCHEMA).validate(manifest)
    offered = _check_master(folder, manifest)
    variants = [each for each in offered if not manifest["rungs"] or "RESOLUTION" in each[0]]
    audio = [track["playlist"] for track in manifest["audio"]]
    playlists = {name: read_media_playlist(folder / name) for name in (*(name for _, name in variants), *audio)}
    fragments = {name: _check_playlist(folder, playlist, manifest) for name, playlist in playlists.items()}
    if manifest["rungs"]:
        _check_alignment([fragments[name] for _, name in variants])
        for attributes, name in variants:
            _check_variant(folder, attributes, playlists[name], [playlists[each] for each in audio], manifest)
        _check_thumbnails(folder, manifest)
        assert offered == [*variants, *_audio_variant(offered, manifest)]
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
    audio = [group for group in groups if group["TYPE"] == "AUDIO"]
    if manifest["rungs"] or len(manifest["audio"]) > 1:
        _check_audio_group(audio, manifest)
    else:
        assert not audio
    variants = [
        (hls_attributes(line), lines[at + 1]) for at, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF:")
    ]
    for attributes, _ in variants:
        assert attributes.get("SUBTITLES") == ("captions" if captions else None)
        assert attributes.get("AUDIO") == (audio[0]["GROUP-ID"] if audio else None)
    return variants


def _audio_variant(
    offered: list[tuple[dict[str, str], str]], manifest: dict[str, Any]
) -> list[tuple[dict[str, str], str]]:
    """Check the variant that is the audio alone, and return it; there is none without audio."""
    if not manifest["audio"]:
        return []
    attributes, name = offered[-1]
    _check_audio_alone(attributes, name, manifest)
    assert (attributes["CLOSED-CAPTIONS"], attributes["AUDIO"]) == ("NONE", "audio")
    return [offered[-1]]


def _check_audio_only(variants: list[tuple[dict[str, str], str]], manifest: dict[str, Any]) -> None:
    """Check that an audio-only recording has one variant, with the audio, and a poster."""
    ((attributes, name),) = variants
    _check_audio_alone(attributes, name, manifest)
    assert (manifest["frame_rate"], manifest["thumbnails"]) == (None, None)
    posters = [["audio", "poster"] if track["is_default"] else ["audio"] for track in manifest["audio"]]
    assert [entry["role"] for entry in manifest["objects"]] == [role for roles in posters for role in roles]


def _check_audio_alone(attributes: dict[str, str], name: str, manifest: dict[str, Any]) -> None:
    """Check that a variant without video is the default track, with the bit rate of the largest one."""
    assert name == next(track["playlist"] for track in manifest["audio"] if track["is_default"])
    assert attributes["CODECS"] == ",".join({track["codec"] for track in manifest["audio"]})
    assert int(attributes["BANDWIDTH"]) == max(track["peak_bps"] for track in manifest["audio"])


def _check_audio_group(group: list[dict[str, str]], manifest: dict[str, Any]) -> None:
    """Check what RFC 8216bis, 4.4.6.1.1, requires of a group, and that it is what the manifest lists."""
    tracks = manifest["audio"]
    assert [(each["NAME"], each["URI"]) for each in group] == [(track["title"], track["playlist"]) for track in tracks]
    assert [each.get("LANGUAGE", "") for each in group] == [track["language"] for track in tracks]
    assert len({each["NAME"] for each in group}) == len(group)
    assert [each["DEFAULT"] == "YES" for each in group] == [track["is_default"] for track in tracks]
    assert sum(each["DEFAULT"] == "YES" for each in group) == (1 if tracks else 0)
    assert all(each["AUTOSELECT"] == "YES" for each in group if each["DEFAULT"] == "YES")
    chosen = [(each.get("LANGUAGE"), each.get("CHARACTERISTICS")) for each in group if each["AUTOSELECT"] == "YES"]
    assert len(set(chosen)) == len(chosen)
    assert all(each["CHANNELS"] == "2" for each in group)


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
    """Check that segments and key frames of all rungs have the same times."""
    starts = {tuple(segment[0].decode_ticks for segment in rung) for rung in rungs}
    keys = {tuple(each.decode_ticks for segment in rung for each in segment) for rung in rungs}
    assert (len(starts), len(keys)) == (1, 1)
    for rung in rungs:
        assert all(fragment.sync_samples == (0,) for segment in rung for fragment in segment)


def _check_variant(
    folder: Path,
    attributes: dict[str, str],
    video: MediaPlaylist,
    audio: list[MediaPlaylist],
    manifest: dict[str, Any],
) -> None:
    codecs = list(dict.fromkeys(read_init(part.init.read(folder)).codec for part in (video, *audio)))
    assert attributes["CODECS"] == ",".join(codecs)
    assert float(attributes["FRAME-RATE"]) == pytest.approx(float(Fraction(manifest["frame_rate"])), abs=5e-4)
    # With the audio track that needs most (RFC 8216bis, 4.4.6.2).
    peak_bps = _peak_bps(video) + max(map(_peak_bps, audio), default=0)
    average_bps = _average_bps(video) + max(map(_average_bps, audio), default=0)
    # Durations in the playlist are rounded, which is noticeable if there is only one frame.
    assert 0.9999 * peak_bps <= int(attributes["BANDWIDTH"]) <= 1.1 * peak_bps
    assert int(attributes["AVERAGE-BANDWIDTH"]) == pytest.approx(average_bps, rel=0.05)
    assert attributes["RESOLUTION"] in {f"{rung['width_px']}x{rung['height_px']}" for rung in manifest["rungs"]}
    # Profile at most High (0x64), level at most 4.2; Chromium rejects level 1b, which is written as
    # 9.
    assert codecs[0].startswith("avc1.")
    assert int(codecs[0][5:7], 16) <= 0x64
    assert 10 <= int(codecs[0][9:11], 16) <= 42


def _average_bps(playlist: MediaPlaylist) -> float:
    return 8 * sum(piece.size_bytes for piece in playlist.pieces) / sum(playlist.durations_s)


def _peak_bps(playlist: MediaPlaylist) -> float:
    """Return the largest rate of any run of segments that lasts 0.5 to 1.5 target durations (RFC 8216, 4.3.4.2)."""
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
    """Check that DASH refers to the same byte ranges as HLS, at the same times."""
    attributes, tracks = read_dash(folder / manifest["dash"])
    assert attributes["type"] == "static"
    assert float(dash_seconds(attributes["mediaPresentationDuration"])) == pytest.approx(
        manifest["duration_s"], abs=1e-6
    )
    summaries = {each["name"]: each for each in (*manifest["rungs"], *manifest["audio"])}
    assert list(tracks) == list(summaries)
    for name, track in tracks.items():
        playlist = playlists[f"{name}.m3u8"]
        assert (track.init, track.pieces) == (playlist.init, playlist.pieces)
        facts = read_init(track.init.read(folder))
        assert (track.timescale, track.attributes["codecs"]) == (facts.timescale, facts.codec)
        nominal_s = track.duration_ticks / track.timescale
        starts_s = list(itertools.accumulate(playlist.durations_s[:-1], initial=0.0))
        assert [number * nominal_s for number in range(len(starts_s))] == pytest.approx(starts_s, abs=_AUDIO_CUT_S)
        if "width_px" in summaries[name]:
            assert playlist.durations_s[:-1] == pytest.approx([nominal_s] * (len(starts_s) - 1), abs=_WRITTEN_S)
        _check_representation(track, summaries[name], manifest)


def _check_representation(track: Representation, summary: dict[str, Any], manifest: dict[str, Any]) -> None:
    attributes = track.attributes
    assert (attributes["segmentAlignment"], attributes["startWithSAP"]) == ("true", "1")
    assert int(attributes["bandwidth"]) == summary["peak_bps"]
    if "width_px" not in summary:
        assert (attributes["contentType"], int(attributes["audioSamplingRate"])) == ("audio", track.timescale)
    else:
        assert (attributes["width"], attributes["height"]) == (str(summary["width_px"]), str(summary["height_px"]))
        assert (attributes["sar"], Fraction(attributes["frameRate"])) == ("1:1", Fraction(manifest["frame_rate"]))


def _check_thumbnails(folder: Path, manifest: dict[str, Any]) -> None:
    """Check that there is one thumbnail at any time, each with its own tile inside its sprite, or none at all."""
    if manifest["thumbnails"] is None:
        assert not [entry for entry in manifest["objects"] if entry["role"] == "sprite"]
        return
    cues = read_webvtt(folder / manifest["thumbnails"])
    assert cues[0].start_s == 0
    assert float(cues[-1].end_s) == pytest.approx(manifest["duration_s"], abs=1e-3)
    assert all(cue.end_s == after.start_s for cue, after in itertools.pairwise(cues))
    tiles = [cue.lines[0] for cue in cues]
    assert len(set(tiles)) == len(tiles)
    sizes = set()
    for tile in tiles:
        url, _, area = tile.partition("#xywh=")
        x, y, width, height = map(int, area.split(","))
        sprite_width, sprite_height = jpeg_size_px((folder / url).read_bytes())
        assert x + width <= sprite_width
        assert y + height <= sprite_height
        assert (x % width, y % height) == (0, 0)
        sizes.add((width, height))
    assert len(sizes) == 1


def _check_captions(folder: Path, track: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Check that a caption file's playlist lasts as long as the video, and that its cues are within that time."""
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
