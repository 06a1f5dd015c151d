"""Growing playlists declare what the published ones will, list what is finished, and all tracks equally far."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tasks.transcode import PROFILES, build_publication, grow, make_plan
from tasks.transcode.captions import CaptionTrack, Cue
from tests.unit.transcode.outputs import made_outputs, seam_sums
from tests.unit.transcode.sources import make_audio, make_source

if TYPE_CHECKING:
    from tasks.transcode import Growing, MediaFile, Plan, UnitKey, UnitOutput

NOW = "2026-01-02T03:04:05Z"
PROFILE = dataclasses.replace(PROFILES["fast"], unit_segments=2, audio_head_s=12)
"""Segments of 6 s in units of 12 s; the first audio unit ends after 12 s."""


def _plan(*, has_audio: bool = True) -> Plan:
    audio = make_audio(1, 64.1) if has_audio else ()
    plan = make_plan(make_source(frames=1893, audio=audio), PROFILE, threads=1)
    return dataclasses.replace(plan, captions=(CaptionTrack("en", "English", (Cue(0, 900, "a"),)),))


def _url(key: UnitKey, file: MediaFile) -> str:
    return f"../{key}/{file.name}"


def _grow(plan: Plan, outputs: dict[UnitKey, UnitOutput]) -> Growing:
    return grow(plan, outputs, url_of=_url)


def _text(growing: Growing, name: str) -> str:
    text = growing.text(name, now=NOW)
    assert text is not None
    return text


def _only(outputs: dict[UnitKey, UnitOutput], *units: UnitKey) -> dict[UnitKey, UnitOutput]:
    return {unit: outputs[unit] for unit in units}


def _entries(text: str) -> list[str]:
    """Return the lines of a media playlist from the first segment on, without the end."""
    lines = text.removesuffix("#EXT-X-ENDLIST\n").splitlines()
    return lines[next(at for at, line in enumerate(lines) if line.startswith("#EXTINF")) :]


def test_growing_playlist_ends_with_the_shortest_track_when_there_are_several() -> None:
    plan = make_plan(make_source(frames=1893, audio=make_audio(1, 64.1, "eng", "fra")), PROFILE, threads=1)
    outputs = made_outputs(plan)
    assert [unit.track for unit in plan.audio_units] == [0, 1, 0, 1]
    listed = [
        _grow(plan, _only(outputs, 0, 1, 2, *done)).segments
        for done in (
            ("audio",),
            ("audio", "audio-1"),
            ("audio", "audio-1", "audio-2"),
            ("audio", "audio-1", "audio-2", "audio-3"),
        )
    ]
    assert listed == [0, 2, 2, 6]
    growing = _grow(plan, _only(outputs, 0, "audio", "audio-1"))
    assert [_text(growing, name).count("#EXTINF") for name in ("audio.m3u8", "audio-1.m3u8")] == [2, 2]
    assert 'NAME="Français",LANGUAGE="fr",DEFAULT=NO' in _text(growing, "master.m3u8")


@pytest.mark.parametrize(
    ("done", "segments"),
    [
        ((), 0),
        ((0,), 0),
        (("audio",), 0),
        ((1, 2, "audio"), 0),
        ((0, "audio"), 2),
        ((0, 1, 2, "audio"), 2),
        ((0, 1, "audio", "audio-1"), 4),
        ((0, 2, "audio", "audio-1"), 2),
        ((0, 1, 2, 3, 4, "audio"), 2),
        ((0, 1, 2, 3, 4, "audio-1"), 0),
    ],
)
def test_tracks_are_listed_equally_far_when_units_are_missing(done: tuple[UnitKey, ...], segments: int) -> None:
    plan = _plan()
    assert [(unit.first_frame, unit.end_frame) for unit in plan.audio_units] == [(0, 360), (360, 1893)]
    growing = _grow(plan, _only(made_outputs(plan), *done))
    assert (growing.segments, growing.duration_s) == (segments, segments * 6)
    names = [*(f"{rung.name}.m3u8" for rung in plan.rungs), "audio.m3u8"]
    if segments:
        assert {_text(growing, name).count("#EXTINF") for name in names} == {segments}
    else:
        assert growing.text("master.m3u8", now=NOW) is None


def test_playlists_only_gain_lines_until_they_are_published_when_units_finish_one_by_one() -> None:
    plan = _plan()
    outputs = made_outputs(plan)
    published = {file.name: file.content.decode() for file in build_publication(plan, outputs, url_of=_url).files}
    done: list[UnitKey] = ["audio"]
    before: dict[str, str] = {}
    for unit in [*(unit.index for unit in plan.video_units), "audio-1"]:
        done.append(unit)
        growing = _grow(plan, _only(outputs, *done))
        for name in [*(f"{rung.name}.m3u8" for rung in plan.rungs), "audio.m3u8"]:
            text = _text(growing, name)
            assert text.startswith(before.get(name, ""))
            assert _entries(published[name])[: len(_entries(text))] == _entries(text)
            head = text[: text.index("#EXTINF")].splitlines()
            assert "#EXT-X-START:TIME-OFFSET=0" in head
            expected = published[name][: published[name].index("#EXTINF")].splitlines()
            assert [line for line in head if line != "#EXT-X-START:TIME-OFFSET=0"] == [
                line.replace("TYPE:VOD", "TYPE:EVENT") for line in expected
            ]
            assert "#EXT-X-ENDLIST" not in text
            before[name] = text
    assert {name: len(_entries(text)) for name, text in before.items()} == {
        name: len(_entries(published[name])) for name in before
    }


def test_master_offers_the_published_tracks_when_one_unit_is_done() -> None:
    plan = _plan()
    outputs = made_outputs(plan)
    published = next(
        file.content.decode()
        for file in build_publication(plan, outputs, url_of=_url).files
        if file.name == "master.m3u8"
    )
    growing = _text(_grow(plan, _only(outputs, 0, "audio")), "master.m3u8")

    def without_rates(text: str) -> list[str]:
        return [
            re.sub(r"(AVERAGE-)?BANDWIDTH=\d+,?|,SUBTITLES=.*", "", line)
            for line in text.splitlines()
            if not line.startswith(("#EXT-X-I-FRAME", "#EXT-X-START", "#EXT-X-MEDIA:TYPE=SUBTITLES"))
        ]

    assert without_rates(growing) == without_rates(published)
    assert "#EXT-X-START:TIME-OFFSET=0" in growing
    assert plan.audio is not None
    limits_bps = [*(rung.maxrate_bps for rung in plan.rungs), plan.audio.bit_rate_bps]
    for limit_bps, declared in zip(limits_bps, re.findall(r"[:,]BANDWIDTH=(\d+)", growing), strict=True):
        assert int(declared) >= limit_bps


def test_captions_are_left_out_of_hls_when_units_are_missing() -> None:
    plan = _plan()
    outputs = made_outputs(plan)
    for growing in (_grow(plan, _only(outputs, 0, "audio")), _grow(plan, outputs)):
        assert "SUBTITLES" not in _text(growing, "master.m3u8")
        assert growing.text("captions-0.m3u8", now=NOW) is None
        # All lists of one master have the same target duration (RFC 8216, 6.2.4).
        lists = [*(f"{rung.name}.m3u8" for rung in plan.rungs), "audio.m3u8"]
        assert {re.findall(r"TARGETDURATION:(\d+)", _text(growing, name))[0] for name in lists} == {"6"}
        assert "captions-0.vtt" in _text(growing, "manifest.mpd")
        assert _text(growing, "captions-0.vtt").startswith("WEBVTT")


def test_manifest_is_dynamic_with_the_published_timing_when_units_are_missing() -> None:
    plan = _plan()
    outputs = made_outputs(plan)
    published = next(
        file.content.decode()
        for file in build_publication(plan, outputs, url_of=_url).files
        if file.name == "manifest.mpd"
    )
    space = "{urn:mpeg:dash:schema:mpd:2011}"
    growing, whole = (
        ET.fromstring(text)  # noqa: S314 - our own
        for text in (_text(_grow(plan, _only(outputs, 0, "audio")), "manifest.mpd"), published)
    )
    assert (growing.get("type"), whole.get("type")) == ("dynamic", "static")
    assert growing.get("publishTime") == NOW
    assert growing.find(f"{space}UTCTiming").get("value") == NOW  # type: ignore[union-attr] # it is there
    for name in ("mediaPresentationDuration", "minBufferTime"):
        assert growing.get(name) == whole.get(name)
    lists = [tree.findall(f".//{space}SegmentList") for tree in (growing, whole)]
    assert len(lists[0]) == len(plan.rungs) + 1
    for few, all_ in zip(*lists, strict=True):
        assert few.attrib == all_.attrib
        assert few[0].attrib == all_[0].attrib
        assert [each.attrib for each in few[1:]] == [each.attrib for each in all_[1:3]]
    # Shaka Player never ends if the last segment is not new in the static manifest.
    everything = ET.fromstring(_text(_grow(plan, outputs), "manifest.mpd"))  # noqa: S314 - our own
    for most, all_ in zip(everything.iter(f"{space}SegmentList"), lists[1], strict=True):
        assert len(most) == len(all_) - 1
    for tag in ("AdaptationSet", "Representation"):
        assert [each.get("id") for each in growing.iter(f"{space}{tag}")] == [
            each.get("id") for each in whole.iter(f"{space}{tag}")
        ]


@pytest.mark.parametrize("fault", ["init", "seam", "length"])
def test_unit_is_not_listed_when_it_does_not_fit_those_before(fault: str) -> None:
    plan = _plan()
    outputs = made_outputs(plan)
    output = outputs[1]
    first = output.files[0]
    if fault == "init":
        output = dataclasses.replace(
            output, files=(dataclasses.replace(first, init_sha256="f" * 64), *output.files[1:])
        )
    elif fault == "seam":
        output = dataclasses.replace(output, head=seam_sums(360, 9, 9, 9))
    else:
        output = dataclasses.replace(
            output, files=(dataclasses.replace(first, segments=first.segments[:1]), *output.files[1:])
        )
    assert _grow(plan, {**outputs, 1: output}).segments == 2
    assert _grow(plan, outputs).segments == 11


def test_audio_limits_nothing_when_there_is_none() -> None:
    plan = _plan(has_audio=False)
    growing = _grow(plan, _only(made_outputs(plan), 0))
    assert (growing.segments, growing.text("audio.m3u8", now=NOW)) == (2, None)
    assert "AUDIO" not in _text(growing, "master.m3u8")
