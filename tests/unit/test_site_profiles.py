"""A site's own profiles: the fields that it names, the rest from `standard`, and what is rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.checks import run_checks

from tasks.conf import bridge_settings
from tasks.transcode.plan.profile import STANDARD, site_profiles

if TYPE_CHECKING:
    from pytest_django import Settings

RUNG = {"short_side_px": 720, "crf": 21, "maxrate_bps": 3_000_000}
SMALL = {"short_side_px": 360, "crf": 23, "maxrate_bps": 700_000}


def test_profile_has_the_named_fields_and_the_rest_of_standard(settings: Settings) -> None:
    settings.BATCHREEL = {"profile": "seminar", "profiles": {"seminar": {"rungs": [RUNG, SMALL], "preset": "fast"}}}
    profile = site_profiles(bridge_settings().profiles)["seminar"]
    assert [rung.short_side_px for rung in profile.rungs] == [720, 360]
    assert (profile.preset, profile.gop_s, profile.audio_bps) == ("fast", STANDARD.gop_s, STANDARD.audio_bps)
    assert not {"batchreel.E006", "batchreel.E029"} & {each.id for each in run_checks()}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rungs": []}, "rungs must be a list"),
        ({"rungs": [SMALL, RUNG]}, "largest first"),
        ({"rungs": [{**RUNG, "short_side_px": 721}]}, "even"),
        ({"rungs": [{"short_side_px": 720, "crf": 21}]}, "no maxrate_bps"),
        ({"rungs": [{**RUNG, "crf": 60}]}, "crf is 60"),
        ({"rungs": [{**RUNG, "bitrate": 1}]}, "no field bitrate"),
        ({"preset": "placebo"}, "preset is 'placebo'"),
        ({"name": "other"}, "no field name"),
        ({"unit_segments": 1.5}, "unit_segments is 1.5"),
        ({"audio_bps": True}, "audio_bps is True"),
    ],
)
def test_check_names_the_profile_and_field_when_one_is_wrong(
    settings: Settings, fields: dict[str, Any], words: str
) -> None:
    settings.BATCHREEL = {"profiles": {"seminar": fields}}
    (error,) = [each for each in run_checks() if each.id == "batchreel.E029"]
    assert "profile 'seminar'" in error.msg
    assert words in error.msg
    assert "change-the-ladder" in str(error.hint)
