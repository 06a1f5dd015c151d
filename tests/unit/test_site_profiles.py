"""A site's own profiles: the fields that it names, the rest from another one, and what is rejected."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.core.checks import run_checks

from tasks.conf import bridge_settings
from tasks.transcode import PROFILES, PURPOSES, Profile, ProfileError, profile_from_json, profile_to_json, site_profiles
from tasks.transcode.plan.profile import LOOK_AHEAD_FRAMES

if TYPE_CHECKING:
    from django.core.checks import CheckMessage
    from pytest_django import Settings

STANDARD = PROFILES["standard"]
RUNG = {"short_side_px": 720, "crf": 21, "maxrate_bps": 3_000_000}
SMALL = {"short_side_px": 360, "crf": 23, "maxrate_bps": 700_000}


def found() -> list[CheckMessage]:
    return run_checks(tags=["batchreel"])


def test_profile_has_the_named_fields_and_the_rest_of_standard(settings: Settings) -> None:
    settings.BATCHREEL = {"profile": "seminar", "profiles": {"seminar": {"rungs": [RUNG, SMALL], "preset": "fast"}}}
    profile = site_profiles(bridge_settings().profiles)["seminar"]
    assert [rung.short_side_px for rung in profile.rungs] == [720, 360]
    assert (profile.preset, profile.gop_s, profile.audio_bps) == ("fast", STANDARD.gop_s, STANDARD.audio_bps)
    assert found() == []


def test_profile_has_the_fields_of_the_one_that_it_extends_whatever_their_order() -> None:
    profiles = site_profiles(
        {
            "night": {"extends": "seminar", "preset": "slow"},
            "seminar": {"extends": "fast", "rungs": (RUNG, SMALL), "max_rate_fps": 30},
        }
    )
    seminar = dataclasses.replace(PROFILES["fast"], name="seminar", rungs=profiles["seminar"].rungs, max_rate_fps=30)
    assert profiles["seminar"] == seminar
    assert profiles["night"] == dataclasses.replace(seminar, name="night", preset="slow", look_ahead_frames=50)


def test_profile_extends_the_built_in_one_when_it_has_its_name() -> None:
    profiles = site_profiles({"standard": {"thumbnail_s": None}, "mute": {"captions": False}})
    assert profiles["standard"] == dataclasses.replace(STANDARD, thumbnail_s=None)
    assert profiles["mute"] == dataclasses.replace(STANDARD, name="mute", thumbnail_s=None, captions=False)


@pytest.mark.parametrize("preset", LOOK_AHEAD_FRAMES)
def test_look_ahead_is_the_presets_unless_it_is_given(preset: str) -> None:
    profiles = site_profiles({"a": {"preset": preset}, "b": {"preset": preset, "look_ahead_frames": 7}})
    assert profiles["a"].look_ahead_frames == LOOK_AHEAD_FRAMES[preset]
    assert profiles["b"].look_ahead_frames == 7


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("E029", {"rungs": []}, "rungs is [], not a list"),
    ("E029", {"rungs": [{**RUNG, "crf": 60}]}, "crf is 60, not a whole number from 0 to 51"),
    ("E029", {"unit_segments": 1.5}, "unit_segments is 1.5"),
    ("E029", {"audio_bps": True}, "audio_bps is True"),
    ("E029", {"gop_s": float("nan")}, "gop_s is nan"),
    ("E029", {"captions": "no"}, "captions is 'no', not true or false"),
    ("E029", {"is_ramped": 1}, "is_ramped is 1, not true or false"),
    ("E029", {"thumbnail_s": 0}, "thumbnail_s is 0"),
    ("E029", {"gop_s": None}, "gop_s is None"),
    ("E029", {"max_rate_fps": 19}, "max_rate_fps is 19"),
    ("E071", {"rungs": [{"short_side_px": 720, "crf": 21}]}, "has no maxrate_bps"),
    ("E071", {"rungs": [{**RUNG, "bitrate": 1}]}, "no field bitrate"),
    ("E071", {"name": "other"}, "no field name"),
    ("E071", {"segment_gops": 3}, "no field segment_gops; known are audio_bps"),
    ("E072", {"extends": "lecture"}, "extends 'lecture', which is not one of fast, standard"),
    ("E072", {"extends": ["standard"]}, "extends ['standard']"),
    ("E072", {"extends": "seminar"}, "'seminar' extends 'seminar', which is a circle"),
    ("E073", {"preset": "placebo"}, "preset is 'placebo', not one of ultrafast"),
    ("E073", {"preset": None}, "preset is None"),
    ("E074", {"rungs": [{**RUNG, "short_side_px": 721}]}, "short_side_px is 721; H.264 in 4:2:0 needs even numbers"),
    ("E074", {"rungs": [SMALL, RUNG]}, "largest first"),
    ("E074", {"rungs": [RUNG, RUNG]}, "each size once"),
    (
        "E075",
        {"rungs": [RUNG, {**SMALL, "maxrate_bps": 3_000_000}]},
        "with 360 px is 3000000, not less than the 3000000",
    ),
    ("E076", {"segment_s": 5}, "segment_s is 5, not a whole number of GOPs of gop_s = 2"),
    ("E076", {"gop_s": 4.0}, "segment_s is 6, not a whole number of GOPs of gop_s = 4"),
    ("E076", {"segment_s": 1}, "segment_s is 1"),
    ("E077", {"max_rate_fps": 61}, "max_rate_fps is 61, more than 60"),
    ("E077", {"rungs": [{**RUNG, "short_side_px": 1440}]}, "2560x1440: more than the 1920x1088 of H.264 level 4.2"),
    ("E077", {"rungs": [{**RUNG, "maxrate_bps": 26_041_668}]}, "more than the 78125000 of H.264 level 4.2"),
]
"""The last part of the id, the fields of a profile `seminar`, and what the message contains."""

RIGHT: list[dict[str, Any]] = [
    {},
    {"rungs": [{**RUNG, "maxrate_bps": 26_041_667}]},
    {"rungs": [{**RUNG, "maxrate_bps": 39_062_500}], "max_rate_fps": 30},
    {"rungs": [{**RUNG, "short_side_px": 1082}]},
    {"gop_s": 1.92, "segment_s": 5.76},
    {"gop_s": 4, "segment_s": 4},
    {"max_rate_fps": 20, "thumbnail_s": None, "is_ramped": False},
]


@pytest.mark.parametrize(("code", "fields", "words"), WRONG, ids=str)
def test_check_names_the_profile_and_field_when_one_is_wrong(
    settings: Settings, code: str, fields: dict[str, Any], words: str
) -> None:
    settings.BATCHREEL = {"profiles": {"seminar": fields}}
    (error,) = found()
    assert error.id == f"batchreel.{code}"
    assert error.msg.startswith("BATCHREEL['profiles']['seminar'] cannot be used: ")
    assert words in error.msg
    assert "change-the-ladder" in str(error.hint)


@pytest.mark.parametrize("fields", RIGHT, ids=str)
def test_check_passes_when_a_profile_is_at_its_limits(settings: Settings, fields: dict[str, Any]) -> None:
    settings.BATCHREEL = {"profiles": {"seminar": fields}}
    assert found() == []


@pytest.mark.parametrize("name", ["", "two words", "x" * 51, "a\tb", 7], ids=repr)
def test_check_reports_the_name_when_a_job_cannot_store_it(settings: Settings, name: Any) -> None:
    settings.BATCHREEL = {"profiles": {name: {}}}
    (error,) = found()
    assert (error.id, "1 to 50 printable characters" in error.msg) == ("batchreel.E070", True)


def test_check_reports_every_fault_of_every_profile_at_once(settings: Settings) -> None:
    settings.BATCHREEL = {
        "profiles": {
            "a": {"preset": "placebo", "crf": 1, "gop_s": 99},
            "b": {"extends": "c"},
            "c": {"extends": "b"},
            "d": {"extends": "a", "rungs": 7},
            "e": "slow",
        }
    }
    assert sorted(str(each.id)[-4:] for each in found()) == ["E029", "E029", "E029", "E071", "E072", "E073"]
    assert any("'b' extends 'c' extends 'b', which is a circle" in each.msg for each in found())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_built_in_profile_has_a_purpose_and_passes_its_own_check(profile: Profile) -> None:
    assert profile_from_json(json.loads(json.dumps(profile_to_json(profile)))) == profile
    assert PURPOSES[profile.name]


def test_stored_profile_is_rejected_when_this_version_lacks_one_of_its_fields() -> None:
    form = profile_to_json(STANDARD) | {"codec": "av1"}
    with pytest.raises(ProfileError, match=r"there is no field codec; known are .* \[PROFILE_FIELD\]"):
        profile_from_json(form)


@pytest.mark.parametrize("field", ["name", "rungs", "preset"])
def test_stored_profile_is_rejected_when_it_lacks_what_has_no_default(field: str) -> None:
    form = profile_to_json(STANDARD)
    del form[field]
    with pytest.raises(ProfileError):
        profile_from_json(form)


def test_stored_profile_gets_a_default_when_an_older_version_wrote_it() -> None:
    form = profile_to_json(STANDARD)
    del form["captions"]
    assert profile_from_json(form) == STANDARD
