"""Every audio track of a source is published as itself; microphones of one programme are mixed."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import encode_audio, make_plan, probe_source
from tests.media.audio_tracks import MICROPHONE, Tone, camera, levels_db, with_tones
from tests.media.clips import ffmpeg
from tests.media.runs import SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.media.runs import Transcode, Transcoded

SILENT = -99


def _audio_tags(done: Transcoded) -> list[str]:
    lines = (done.run.folder / "master.m3u8").read_text().splitlines()
    return [line.removeprefix("#EXT-X-MEDIA:TYPE=AUDIO,") for line in lines if "TYPE=AUDIO" in line]


def _audio_sets(done: Transcoded) -> list[tuple[str, ...]]:
    """Return language, label, roles and purpose of each adaptation set of audio, as DASH has them."""
    text = (done.run.folder / "manifest.mpd").read_text()
    sets = re.findall(r'<AdaptationSet id="\d+" contentType="audio".*?</AdaptationSet>', text, flags=re.DOTALL)
    patterns = (
        r' lang="([^"]*)"',
        r"<Label>(.*)</Label>",
        r'role:2011" value="(\w+)"',
        r'PurposeCS:2007" value="(\d)"',
    )
    return [tuple(",".join(re.findall(pattern, each)) for pattern in patterns) for each in sets]


def test_each_language_is_a_rendition_when_a_source_has_several(tmp_path: Path, transcode: Transcode) -> None:
    source = with_tones(
        tmp_path / "a.mkv",
        Tone(300, "eng", filters="volume=-10dB,aformat=channel_layouts=stereo"),
        Tone(500, "ger", disposition="default"),
        Tone(700, "eng", "Director's commentary", "comment"),
        Tone(900, "eng", disposition="visual_impaired"),
        Tone(1100, "eng"),
    )
    done = transcode(source)
    assert done.plan.warnings == ()
    assert _audio_tags(done) == [
        'GROUP-ID="audio",NAME="English",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"',
        'GROUP-ID="audio",NAME="Deutsch",LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio-1.m3u8"',
        (
            'GROUP-ID="audio",NAME="English (Director\'s commentary)",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=NO,'
            'CHANNELS="2",URI="audio-2.m3u8"'
        ),
        (
            'GROUP-ID="audio",NAME="English (audio description)",LANGUAGE="en",'
            'CHARACTERISTICS="public.accessibility.describes-video",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",'
            'URI="audio-3.m3u8"'
        ),
        'GROUP-ID="audio",NAME="English 2",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=NO,CHANNELS="2",URI="audio-4.m3u8"',
    ]
    assert _audio_sets(done) == [
        ("en", "English", "alternate", ""),
        ("de", "Deutsch", "main", ""),
        ("en", "English (Director's commentary)", "commentary", ""),
        ("en", "English (audio description)", "description", "1"),
        ("en", "English 2", "alternate", ""),
    ]
    tones_hz = (300, 500, 700, 900, 1100)
    for number, name in enumerate(("audio", "audio-1", "audio-2", "audio-3", "audio-4")):
        levels = levels_db(done.joined(name), *tones_hz)
        assert [level == SILENT for level in levels] == [place != number for place in range(5)]
        # Each has a gain of its own: the first one was recorded 10 dB lower.
        assert levels[number] == pytest.approx(-14, abs=2)


def test_audio_alone_is_the_default_track_when_there_are_several(tmp_path: Path, transcode: Transcode) -> None:
    tones = (Tone(300, "eng"), Tone(500, "fra", disposition="default"))
    for video in (True, False):
        done = transcode(with_tones(tmp_path / f"{video}.mka", *tones, video=video), name=f"{video}")
        assert [audio["is_default"] for audio in done.publication.manifest["audio"]] == [False, True]
        lines = (done.run.folder / "master.m3u8").read_text().splitlines()
        assert [line for line in lines if line.endswith(".m3u8") and "," not in line][-1] == "audio-1.m3u8"
    assert [entry["unit"] for entry in done.publication.manifest["objects"] if entry["role"] == "poster"] == ["audio-1"]


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("a.mov", (camera("FL"), camera("FR"))),
        ("a.mxf", (MICROPHONE, MICROPHONE)),
        ("a.mkv", (MICROPHONE, MICROPHONE)),
    ],
)
def test_both_ears_get_both_microphones_when_they_are_tracks_of_their_own(
    name: str, filters: tuple[str, str], tmp_path: Path, transcode: Transcode
) -> None:
    codec = ("-c:v", "mpeg2video", "-q:v", "4") if name.endswith("mxf") else ("-c:v", "mpeg4", "-q:v", "4")
    tones = [Tone(hz, filters=each) for hz, each in zip((300, 900), filters, strict=True)]
    done = transcode(with_tones(tmp_path / name, *tones, codec=codec))
    assert done.plan.warnings == ("AUDIO_MIXED track 1, track 2",)
    (audio,) = done.publication.manifest["audio"]
    assert audio["is_mixed"]
    left, right = (levels_db(done.joined("audio"), 300, 900, channel=channel) for channel in (0, 1))
    assert left == right
    assert left[0] == left[1] > -20


def test_mix_goes_on_when_one_microphone_ends_early(tmp_path: Path, transcode: Transcode) -> None:
    tones = (Tone(300, filters=MICROPHONE, length_s=4), Tone(900, filters=MICROPHONE, length_s=3.7))
    done = transcode(with_tones(tmp_path / "a.mkv", *tones, seconds=4))
    assert done.plan.audio_tracks[0].streams == (1, 2)
    assert levels_db(done.joined("audio"), 300, 900, start_s=3.75, end_s=3.95) == [pytest.approx(-19, abs=3), SILENT]


@pytest.mark.parametrize("second_hz", [300, 310], ids=["the same", "another"])
def test_mix_has_the_target_loudness_when_microphones_recorded_the_same_or_not(
    second_hz: int, tmp_path: Path, transcode: Transcode
) -> None:
    tones = (Tone(300, filters=MICROPHONE), Tone(second_hz, filters=MICROPHONE))
    done = transcode(with_tones(tmp_path / "a.mka", *tones, video=False))
    level = probe_source(done.joined("audio")).audio[0].level
    assert level is not None
    assert level.loudness_lufs == pytest.approx(-16, abs=0.5)
    assert level.true_peak_db < -1


@pytest.mark.parametrize(
    ("tones_hz", "streams", "warnings"),
    [
        ((300, 400, 0, 0), (1, 2), ("AUDIO_LEFT_OUT track 3, track 4 (silent)", "AUDIO_MIXED track 1, track 2")),
        ((300, 400, 500, 0), (1, 2), None),
        ((0, 400, 500, 600), (2,), ("AUDIO_LEFT_OUT track 1 (silent), track 3, track 4 (spare microphones)",)),
        ((0, 0, 500, 600), (3, 4), None),
        ((0, 0, 0, 0), (1,), ("AUDIO_LEFT_OUT track 2, track 3, track 4 (silent)",)),
    ],
)
def test_first_two_microphones_with_audio_are_the_programme_when_a_camera_has_more(
    tones_hz: tuple[int, ...], streams: tuple[int, ...], warnings: tuple[str, ...] | None, tmp_path: Path
) -> None:
    tones = [Tone(hz, filters=MICROPHONE) for hz in tones_hz]
    source = probe_source(with_tones(tmp_path / "a.mxf", *tones, codec=("-c:v", "mpeg2video")))
    assert [track.streams for track in source.audio] == [streams]
    assert warnings is None or source.warnings == warnings


@pytest.mark.parametrize(
    "second",
    [
        Tone(400, "fra"),
        Tone(400, "eng", "Translation"),
        Tone(400, "eng", length_s=2),
        Tone(400, "eng", disposition="comment"),
    ],
    ids=["language", "title", "length", "purpose"],
)
def test_mono_tracks_are_not_mixed_when_something_tells_them_apart(second: Tone, tmp_path: Path) -> None:
    tones = (Tone(300, "eng", filters=MICROPHONE), replace(second, filters=MICROPHONE))
    assert [track.streams for track in probe_source(with_tones(tmp_path / "a.mkv", *tones)).audio] == [(1,), (2,)]


def test_tracks_are_in_step_when_they_differ_in_codec_rate_start_and_length(
    tmp_path: Path, transcode: Transcode
) -> None:
    source = with_tones(
        tmp_path / "a.mkv",
        Tone(300, "eng", codec=("aac", "-b:a", "128k")),
        Tone(500, "fra", start_s=1.0, length_s=2.0, codec=("ac3",), filters="aformat=channel_layouts=5.1"),
        Tone(700, "spa", length_s=1.5, codec=("libopus",)),
        Tone(900, "ita", codec=("pcm_s16le",), filters="aformat=sample_rates=22050:channel_layouts=mono"),
    )
    done = transcode(source)
    assert done.plan.warnings == ()
    audible = {
        name: [levels_db(done.joined(name), hz, start_s=at, end_s=at + 0.3)[0] > -40 for at in (0.3, 1.1, 1.9, 2.5)]
        for name, hz in (("audio", 300), ("audio-1", 500), ("audio-2", 700), ("audio-3", 900))
    }
    assert audible == {
        "audio": [True, True, True, True],
        "audio-1": [False, True, True, True],
        "audio-2": [True, True, False, False],
        "audio-3": [True, True, True, True],
    }


def test_silent_track_is_named_and_not_offered_when_another_has_audio(tmp_path: Path) -> None:
    tones = (Tone(0, "eng", disposition="default"), Tone(300, "fra"))
    source = probe_source(with_tones(tmp_path / "a.mkv", *tones))
    assert [(track.language, track.is_default) for track in source.audio] == [("fra", True)]
    assert source.warnings == ("AUDIO_LEFT_OUT track 1 (English) (silent)",)


def test_other_tracks_are_kept_when_one_cannot_be_decoded(tmp_path: Path) -> None:
    tones = (Tone(300, "eng", codec=("aac",)), Tone(500, "fra", codec=("libopus",)))
    source = with_tones(tmp_path / "a.mkv", *tones)
    content = source.read_bytes()
    assert content.count(b"A_OPUS") == 1
    # No decoder has this name.
    source.write_bytes(content.replace(b"A_OPUS", b"A_NONE"))
    found = probe_source(source)
    assert [track.language for track in found.audio] == ["eng"]
    assert found.warnings == ("AUDIO_UNREADABLE track 2 (Français)",)


def test_tracks_beyond_the_limit_are_named_when_there_are_nine(tmp_path: Path) -> None:
    languages = ("eng", "fra", "deu", "spa", "ita", "nld", "pol", "swe", "dan")
    tones = [Tone(300, each, disposition="default" if each == "dan" else "0", length_s=1) for each in languages]
    found = probe_source(with_tones(tmp_path / "a.mkv", *tones, seconds=1))
    assert [track.streams for track in found.audio] == [(1,), (2,), (3,), (4,), (5,), (6,), (7,), (9,)]
    assert found.warnings == ("AUDIO_LEFT_OUT track 8 (Svenska) (more than 8 tracks)",)


def test_only_tracks_of_the_programme_are_kept_when_a_transport_stream_has_several(tmp_path: Path) -> None:
    source = tmp_path / "a.ts"
    one = with_tones(tmp_path / "1.mkv", Tone(300, "eng"), Tone(400, "fra"))
    other = with_tones(tmp_path / "2.mkv", Tone(500, "deu"))
    ffmpeg(
        *("-i", str(one), "-i", str(other), "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "mp2"),
        *("-program", "program_num=1:st=0:st=1:st=2", "-program", "program_num=2:st=3:st=4", str(source)),
    )
    found = probe_source(source)
    assert sorted(track.language for track in found.audio) == ["eng", "fra"]
    assert "AUDIO_LEFT_OUT" not in " ".join(found.warnings)


@pytest.mark.parametrize("kind", ["languages", "microphones"])
def test_track_has_the_same_bytes_when_it_is_encoded_again(kind: str, tmp_path: Path) -> None:
    if kind == "languages":
        tones = [Tone(300, "eng"), Tone(500, "fra")]
    else:
        tones = [Tone(hz, filters=MICROPHONE, codec=("aac",)) for hz in (300, 500)]
    source = with_tones(tmp_path / "a.mkv", *tones)
    plan = make_plan(probe_source(source), SMALL, threads=1)
    for unit in plan.audio_units:
        sums = set()
        for run in range(3):
            folder = tmp_path / f"{unit.key}-{run}"
            folder.mkdir()
            output = encode_audio(source, plan, unit.index, folder, progress=lambda _: None, stop=threading.Event())
            sums.add(output.files[0].sha256)
        assert len(sums) == 1


def test_units_of_all_tracks_begin_first_when_audio_is_long(tmp_path: Path, transcode: Transcode) -> None:
    tones = [Tone(300, "eng", length_s=10), Tone(500, "fra", length_s=10)]
    done = transcode(with_tones(tmp_path / "a.mkv", *tones, seconds=10), replace(SMALL, audio_head_s=2))
    assert [(unit.key, unit.track, unit.first_frame) for unit in done.plan.audio_units] == [
        ("audio", 0, 0),
        ("audio-1", 1, 0),
        ("audio-2", 0, 60),
        ("audio-3", 1, 60),
    ]
    assert levels_db(done.joined("audio"), 300, 500, start_s=1, end_s=9)[1] == SILENT
    assert levels_db(done.joined("audio-1"), 300, 500, start_s=1, end_s=9)[0] == SILENT
