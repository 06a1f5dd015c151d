"""Names of audio tracks, the default one, and which of several are published."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tasks.transcode import encode_cost_s, make_plan
from tasks.transcode.audio.tracks import COMMENTARY, DESCRIPTION, default_of, names_of
from tasks.transcode.plan.profile import PROFILES
from tests.unit.transcode.sources import make_audio, make_source

if TYPE_CHECKING:
    from tasks.transcode import AudioSource


def _track(language: str = "", title: str = "", purpose: str = "", *, is_default: bool = False) -> AudioSource:
    return replace(make_audio(1, 11)[0], language=language, title=title, purpose=purpose, is_default=is_default)


@pytest.mark.parametrize(
    ("tracks", "names"),
    [
        ([_track()], ["Audio"]),
        ([_track(), _track(), _track()], ["Audio", "Audio 2", "Audio 3"]),
        ([_track("eng", "Stereo"), _track("deu", "Stereo")], ["English (Stereo)", "Deutsch (Stereo)"]),
        ([_track("eng", "English 5.1")], ["English 5.1"]),
        ([_track("", "Mic"), _track("", "Mic")], ["Mic", "Mic 2"]),
        ([_track("eng", purpose=DESCRIPTION)], ["English (audio description)"]),
        ([_track("", purpose=COMMENTARY)], ["Audio (commentary)"]),
        ([_track("und", '"Off"\n\tscreen')], ["'Off' screen"]),
        ([_track("eng"), _track("eng"), _track("", "English 2")], ["English", "English 2", "English 2 2"]),
    ],
)
def test_name_shows_language_and_title_when_tracks_have_them(tracks: list[AudioSource], names: list[str]) -> None:
    assert list(names_of(tracks)) == names


@pytest.mark.parametrize(
    ("tracks", "place"),
    [
        ([_track("eng"), _track("fra")], 0),
        ([_track("eng"), _track("fra", is_default=True), _track("deu", is_default=True)], 1),
        ([_track("eng", purpose=COMMENTARY, is_default=True), _track("fra")], 1),
        ([_track("eng", purpose=COMMENTARY), _track("fra", purpose=DESCRIPTION, is_default=True)], 1),
    ],
)
def test_default_track_is_the_first_that_is_no_commentary_when_several_are_declared(
    tracks: list[AudioSource], place: int
) -> None:
    assert default_of(tracks) is tracks[place]


def test_cost_grows_by_two_hundredths_of_the_duration_when_there_is_another_track() -> None:
    costs_s = [
        encode_cost_s(make_plan(make_source(frames=3000, audio=audio), PROFILES["standard"], threads=1))
        for audio in (make_audio(1, 101), make_audio(1, 101, "eng", "fra"))
    ]
    assert costs_s[1] - costs_s[0] == pytest.approx(2.0)


def test_grid_reaches_from_the_earliest_to_the_latest_track_when_they_differ() -> None:
    early, late = make_audio(0, 8, "eng", "fra")
    late = replace(late, start_s=late.start_s + 5, end_s=late.end_s + 5)
    plan = make_plan(make_source(frames=300, audio=(early, late)), PROFILES["standard"], threads=1)
    # The video is from 1 s to 11 s, the audio from 0 to 13 s.
    assert (plan.first_source_frame, plan.duration_s) == (30, 13.0)
