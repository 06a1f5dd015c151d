"""`manage.py profiles`: what each profile is, where it comes from, and which is the default."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command

from tasks.transcode import PROFILES, profile_from_json

if TYPE_CHECKING:
    from pytest_django import Settings

OWN = {
    "profile": "seminar",
    "profiles": {
        "seminar": {
            "preset": "slow",
            "max_rate_fps": 30,
            "rungs": [
                {"short_side_px": 720, "crf": 21, "maxrate_bps": 3_000_000},
                {"short_side_px": 240, "crf": 24, "maxrate_bps": 400_000},
            ],
            "thumbnail_s": None,
            "captions": False,
        },
        "fast": {"extends": "fast", "segment_s": 4},
        "same": {"extends": "seminar"},
    },
}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("profiles", *arguments, stdout=out)
    return out.getvalue()


def test_profiles_are_shown_with_every_field_and_their_origin(settings: Settings) -> None:
    settings.BATCHREEL = OWN
    assert run("seminar") == (
        "seminar (default, BATCHREEL, extends standard but for captions, max_rate_fps, preset, rungs, thumbnail_s)\n"
        "  size  CRF  kbit/s  above 30 fps\n"
        "  720p   21    3000             -\n"
        "  240p   24     400             -\n"
        "  video      H.264, preset slow, at most 30 fps\n"
        "  segments   6 s, a key frame every 2 s, units of up to 120 s\n"
        "  audio      AAC, 128 kbit/s, -16 LUFS\n"
        "  captions   no\n"
        "  thumbnails no\n"
        "  others     warm_up_gops=3, look_ahead_frames=50, shared_unit_segments=10, is_ramped=true, audio_head_s=60.0, "
        "automatic_captions=false\n"
    )
    headings = [line for line in run().splitlines() if line and not line.startswith(" ")]
    assert headings[:1] + headings[2:] == [
        "standard (built in)",
        "seminar (default, BATCHREEL, extends standard but for captions, max_rate_fps, preset, rungs, thumbnail_s)",
        "same (BATCHREEL, extends seminar but for nothing)",
    ]
    assert headings[1] == "fast (BATCHREEL, extends the built-in fast but for segment_s)"


def test_built_in_profile_is_shown_with_its_purpose_and_ceilings() -> None:
    shown = run("standard").splitlines()
    assert shown[:5] == [
        "standard (default, built in)",
        "  for        lectures: slides stay legible on a large screen, and 240p plays on a slow network",
        "   size  CRF  kbit/s  above 30 fps",
        "  1080p   23    4500          6750",
        "   720p   23    2500          3750",
    ]


def test_profiles_are_complete_when_they_are_shown_as_json(settings: Settings) -> None:
    settings.BATCHREEL = OWN
    shown = {each["name"]: each for each in json.loads(run("--json"))}
    assert list(shown) == ["standard", "fast", "seminar", "same"]
    assert [name for name, each in shown.items() if each["is_default"]] == ["seminar"]
    assert (shown["standard"]["origin"], shown["standard"]["extends"]) == ("built in", None)
    assert (shown["fast"]["origin"], shown["fast"]["own_fields"]) == ("BATCHREEL", ["segment_s"])
    assert shown["same"]["fields"] == shown["seminar"]["fields"]
    restored = profile_from_json({"name": "standard", **shown["standard"]["fields"]})
    assert restored == PROFILES["standard"]


def test_command_names_the_profile_when_it_does_not_exist() -> None:
    with pytest.raises(CommandError, match=r"no profile 'lecture'\. Choose one of: fast, standard"):
        run("lecture")


def test_command_names_the_fault_when_a_profile_cannot_be_used(settings: Settings) -> None:
    settings.BATCHREEL = {"profiles": {"seminar": {"segment_s": 5}}}
    with pytest.raises(CommandError, match=r"profile 'seminar': segment_s is 5, .* \[PROFILE_SEGMENT\]"):
        run()
