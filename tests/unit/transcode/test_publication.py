"""A publication is built only from consistent outputs, and its bit rates follow the specification."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import (
    PROFILES,
    InconsistentOutputError,
    MediaFile,
    Plan,
    SeamMismatchError,
    Segment,
    UnitOutput,
    build_publication,
    make_plan,
)
from tasks.transcode.captions import CaptionTrack, Cue
from tasks.transcode.chapters import Chapter
from tasks.transcode.package.tracks import PlacedFile, Track
from tasks.transcode.plan.thumbnails import make_sprite
from tests.unit.transcode.outputs import seam_sums
from tests.unit.transcode.sources import make_audio, make_source

if TYPE_CHECKING:
    from tasks.transcode import Publication, UnitKey

PROFILE = dataclasses.replace(PROFILES["fast"], unit_segments=1)
Outputs = dict["UnitKey", UnitOutput]


def _plan() -> Plan:
    return make_plan(make_source(frames=600, audio=make_audio(1, 21)), PROFILE, threads=1)


def _file(rung: str | None, start: int, end: int, timescale: int) -> MediaFile:
    role = "video" if rung else "audio"
    segments = (Segment(800, 50_000, start, end - start),)
    return MediaFile(
        f"{rung}.mp4",
        role,
        rung,
        f"{role}/mp4",
        50_800,
        "0" * 64,
        800,
        hashlib.sha256(f"init {rung}".encode()).hexdigest(),
        timescale,
        "avc1.640028" if rung else "mp4a.40.2",
        segments,
        segments if rung else (),
    )


def _outputs(plan: Plan) -> Outputs:
    """Return the outputs that encoders would return for the plan, without encoding."""
    outputs: Outputs = {}
    for unit in plan.video_units:
        ticks = (unit.first_frame * plan.frame_ticks, unit.end_frame * plan.frame_ticks)
        files = [_file(rung.name, *ticks, plan.timescale) for rung in plan.rungs]
        if unit.first_frame <= plan.poster_frame < unit.end_frame:
            files.append(MediaFile("poster.jpg", "poster", None, "image/jpeg", 900, "1" * 64))
        if make_sprite(plan.thumbnails, unit.first_frame, unit.end_frame):
            files.append(MediaFile("sprite.jpg", "sprite", None, "image/jpeg", 900, "2" * 64))
        outputs[unit.index] = UnitOutput(
            unit.index,
            tuple(files),
            1.0,
            head=seam_sums(unit.first_frame) if unit.index else None,
            tail=seam_sums(unit.end_frame) if unit.end_frame < plan.frames else None,
        )
    assert plan.audio is not None
    outputs["audio"] = UnitOutput("audio", (_file(None, 0, plan.audio.aac_frames * 1024, 48_000),), 1.0)
    return outputs


def _publish(plan: Plan, outputs: Outputs) -> Publication:
    return build_publication(plan, outputs, url_of=lambda unit, file: f"u/{unit}/{file.name}")


def build_example() -> Publication:
    """Return a publication that has everything: rungs, audio, captions, chapters."""
    captions = (CaptionTrack("en", "English", (Cue(0, 900, "a"),)),)
    plan = dataclasses.replace(_plan(), captions=captions, chapters=(Chapter(0, 900, "A"), Chapter(900, 2_000, "B")))
    return _publish(plan, _outputs(plan))


def test_captions_are_offered_by_every_rung_when_there_are_any() -> None:
    files = {file.name: file.content.decode() for file in build_example().files}
    # Three rungs, and the audio alone.
    assert files["master.m3u8"].count('SUBTITLES="captions"') == 4
    assert 'NAME="English",LANGUAGE="en"' in files["master.m3u8"]
    assert "captions-0.vtt" in files["captions-0.m3u8"]
    assert "<BaseURL>captions-0.vtt</BaseURL>" in files["manifest.mpd"]


def test_publication_names_every_object_when_all_units_are_there() -> None:
    plan = _plan()
    publication = _publish(plan, _outputs(plan))
    names = [file.name for file in publication.files]
    rungs = ["480p", "360p", "240p"]
    i_frames = [f"{rung}-iframes.m3u8" for rung in rungs]
    assert names == [
        "master.m3u8",
        *(f"{rung}.m3u8" for rung in rungs),
        *i_frames,
        "audio.m3u8",
        "manifest.mpd",
        "thumbnails.vtt",
        "manifest.json",
    ]
    assert json.loads(publication.files[-1].content) == json.loads(json.dumps(publication.manifest))
    urls = {entry["url"] for entry in publication.manifest["objects"]}
    assert len(urls) == len(publication.manifest["objects"]) == 3 * len(plan.video_units) + 4
    for file in publication.files[1:8]:
        mentioned = {line for line in file.content.decode().splitlines() if line and not line.startswith("#")}
        assert mentioned
        assert mentioned <= urls
    assert publication.manifest["poster"] == "u/0/poster.jpg"
    assert publication.manifest["duration_s"] == 20.0


def test_unit_is_named_when_its_output_is_missing() -> None:
    plan = _plan()
    for unit in (1, "audio"):
        outputs = _outputs(plan)
        del outputs[unit]
        with pytest.raises(InconsistentOutputError) as caught:
            _publish(plan, outputs)
        assert (caught.value.code, caught.value.units) == ("UNIT_MISSING", (unit,))


def test_both_units_are_named_when_their_seam_differs() -> None:
    plan = _plan()
    outputs = _outputs(plan)
    outputs[2] = dataclasses.replace(outputs[2], head=seam_sums(plan.video_units[2].first_frame, 1, 2, 4))
    with pytest.raises(SeamMismatchError) as caught:
        _publish(plan, outputs)
    assert caught.value.units == (1, 2)


def test_unit_is_named_when_its_init_segment_differs() -> None:
    plan = _plan()
    outputs = _outputs(plan)
    other = dataclasses.replace(outputs[1].files[0], init_sha256="other")
    outputs[1] = dataclasses.replace(outputs[1], files=(other, *outputs[1].files[1:]))
    with pytest.raises(InconsistentOutputError) as caught:
        _publish(plan, outputs)
    assert (caught.value.code, caught.value.units) == ("INIT_DIFFERS", (1,))


def test_unit_is_named_when_it_lacks_a_rung_or_time_or_the_poster() -> None:
    plan = _plan()
    whole = _outputs(plan)
    first = whole[0].files
    short = dataclasses.replace(first[0], segments=(dataclasses.replace(first[0].segments[0], duration_ticks=1),))
    without_key_frames = dataclasses.replace(first[0], key_frames=())
    without_poster = tuple(file for file in first if file.role != "poster")
    for files in (first[1:], (short, *first[1:]), (without_key_frames, *first[1:]), without_poster, first[:-1]):
        with pytest.raises(InconsistentOutputError) as caught:
            _publish(plan, whole | {0: dataclasses.replace(whole[0], files=files)})
        assert (caught.value.code, caught.value.units) == ("FILES", (0,))


def _track(*segments: tuple[int, int]) -> Track:
    """Return a track from (milliseconds, bytes) of its segments."""
    rows = tuple(Segment(0, size, 0, duration) for duration, size in segments)
    file = MediaFile("a", "video", "a", "video/mp4", 0, "", timescale=1000, codec="avc1", segments=rows)
    return Track("a", (PlacedFile("a", file),))


@pytest.mark.parametrize(
    ("segments", "peak_bps", "average_bps"),
    [
        # Every run of 0.5 to 1.5 target durations (6 s) counts; shorter ones do not.
        ([(6000, 6000), (6000, 12000), (6000, 3000)], 16_000, 9_333),
        ([(6000, 6000), (1000, 9000)], 17_143, 17_143),
        ([(6000, 6000), (2000, 4000), (2000, 8000)], 24_000, 14_400),
        ([(400, 1000)], 20_000, 20_000),
    ],
    ids=["whole segments", "short remainder with previous segment", "two short segments", "shorter than half"],
)
def test_peak_bit_rate_follows_the_specification_when_segments_vary(
    segments: list[tuple[int, int]], peak_bps: int, average_bps: int
) -> None:
    track = _track(*segments)
    assert (track.peak_bps, track.average_bps) == (peak_bps, average_bps)
    assert track.duration_s == Fraction(sum(duration for duration, _ in segments), 1000)
