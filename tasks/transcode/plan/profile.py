"""Profiles that a job can request.

A plan copies all that it needs, so changing a profile never affects a running job.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class ProfileRung:
    """One rung of the ladder, identified by the shorter side of its frames."""

    short_side_px: int
    crf: int
    """x264's constant rate factor, the target quality; lower is better."""
    maxrate_bps: int
    """Bit rate ceiling for 16:9 video at up to 30 frames per second; the VBV buffer is twice as
    large.
    """


@dataclass(frozen=True)
class Profile:
    """A ladder and how it is encoded. Planning rounds durations to whole frames of the grid."""

    name: str
    rungs: tuple[ProfileRung, ...]
    """Largest first."""
    preset: str
    warm_up_gops: int = 3
    """GOPs of warm-up frames: encoded before a unit, so that the rate control is in the right
    state, then dropped (docs/adr/0008).
    """
    look_ahead_frames: int = 40
    """Frames encoded beyond the end of a unit and dropped: x264's lookahead at preset medium."""
    gop_s: float = 2.0
    """Distance between key frames: Apple's HLS authoring specification asks for 2 s."""
    segment_gops: int = 3
    """GOPs per segment: 6 s, Apple's target duration."""
    unit_segments: int = 20
    """Maximum number of segments per unit: about two minutes, at which warm-up and look-ahead
    frames cost 6 %.
    """
    shared_unit_segments: int = 10
    """Minimum length of a unit, in segments, if several containers work on the video: about one minute,
    at which warm-up and look-ahead frames cost 12 %. Near the end of the video they may be as short as 12 s.
    """
    is_ramped: bool = True
    """Whether the first units are short (6, 6, 12, 24 and 48 s by default, without the first two in a short video),
    so that the first seconds can be watched early.
    """
    audio_bps: int = 128_000
    loudness_lufs: float | None = -16.0
    """Loudness to which all audio is brought (EBU R 128); None leaves it as it is. -16 LUFS is usual for podcasts,
    and the loudest that AES TD1004.1.15-10 recommends for streams.
    """
    audio_head_s: float = 60.0
    """Minimum length of the first audio unit of a long video: it is done before the other one, so that the
    video can be watched while it is made.
    """
    thumbnail_s: float = 10.0
    """Interval between the thumbnails of the seek bar."""


_LADDER = (
    ProfileRung(short_side_px=1080, crf=23, maxrate_bps=4_500_000),
    ProfileRung(short_side_px=720, crf=23, maxrate_bps=2_500_000),
    ProfileRung(short_side_px=480, crf=23, maxrate_bps=1_200_000),
    ProfileRung(short_side_px=360, crf=23, maxrate_bps=800_000),
    ProfileRung(short_side_px=240, crf=24, maxrate_bps=400_000),
)

STANDARD = Profile(name="standard", rungs=_LADDER, preset="medium")
"""For lectures: slides must stay legible; faces may be soft."""

FAST = Profile(
    name="fast",
    rungs=_LADDER[2:],
    preset="veryfast",
    warm_up_gops=1,
    look_ahead_frames=10,
    unit_segments=10,
    is_ramped=False,
    audio_bps=96_000,
)
"""A small, quickly encoded ladder in units of one minute, for trying out the whole pipeline."""

PROFILES = {profile.name: profile for profile in (STANDARD, FAST)}
"""All profiles by name."""

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Of x264, fastest first."""

_RANGES: dict[str, tuple[float, float]] = {
    "short_side_px": (2, 4320),
    "crf": (0, 51),
    "maxrate_bps": (50_000, 100_000_000),
    "warm_up_gops": (0, 10),
    "look_ahead_frames": (0, 250),
    "gop_s": (0.5, 10),
    "segment_gops": (1, 10),
    "unit_segments": (1, 1000),
    "shared_unit_segments": (1, 1000),
    "audio_bps": (32_000, 320_000),
    "loudness_lufs": (-40, -10),
    "audio_head_s": (1, 3600),
    "thumbnail_s": (1, 600),
}
"""Field -> least and greatest value."""


def site_profiles(own: Mapping[str, Mapping[str, Any]]) -> dict[str, Profile]:
    """Return the built-in profiles and a site's own, by name; its own replace built-in ones.

    `own` is name -> fields, as `profile_from_fields` takes them. Raises ValueError, which names the
    profile and the field that is wrong.
    """
    profiles = dict(PROFILES)
    for name, given in own.items():
        try:
            profiles[name] = profile_from_fields(name, given)
        except (TypeError, ValueError) as error:
            message = f"profile {name!r}: {error}"
            raise ValueError(message) from error
    return profiles


def profile_from_fields(name: str, given: Mapping[str, Any]) -> Profile:
    """Return STANDARD with the given fields in place of its own.

    `rungs` is a list of objects with the fields of ProfileRung, largest first. Raises ValueError,
    which names the field that is wrong.
    """
    values = dict(given)
    if "rungs" in values:
        values["rungs"] = _rungs(values["rungs"])
    if values.get("preset", STANDARD.preset) not in PRESETS:
        message = f"preset is {values['preset']!r}, not one of {', '.join(PRESETS)}"
        raise ValueError(message)
    allowed = {field.name for field in fields(Profile)} - {"name"}
    _require_fields(values, allowed)
    _require_numbers(values)
    return replace(STANDARD, name=name, **values)


def _rungs(given: Any) -> tuple[ProfileRung, ...]:
    allowed = {field.name for field in fields(ProfileRung)}
    if not isinstance(given, list) or not given or not all(isinstance(each, dict) for each in given):
        message = f"rungs must be a list of objects with {', '.join(sorted(allowed))}"
        raise ValueError(message)
    for each in given:
        _require_fields(each, allowed)
        if missing := allowed - set(each):
            message = f"a rung has no {', '.join(sorted(missing))}"
            raise ValueError(message)
        _require_numbers(each)
        if each["short_side_px"] % 2:
            message = f"short_side_px is {each['short_side_px']}; H.264 in 4:2:0 needs an even number"
            raise ValueError(message)
    sides = [each["short_side_px"] for each in given]
    if sides != sorted(set(sides), reverse=True):
        message = f"rungs must be in the order of their size, largest first: {sides}"
        raise ValueError(message)
    return tuple(ProfileRung(**each) for each in given)


def _require_fields(given: Mapping[str, Any], allowed: Set[str]) -> None:
    if unknown := set(given) - allowed:
        message = f"there is no field {', '.join(sorted(unknown))}; known are {', '.join(sorted(allowed))}"
        raise ValueError(message)


def _require_numbers(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in _RANGES:
            continue
        if name == "loudness_lufs" and value is None:
            continue
        least, greatest = _RANGES[name]
        whole = not name.endswith(("_s", "_lufs"))
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else (int, float))
            or not least <= value <= greatest
        ):
            kind = "a whole number" if whole else "a number"
            message = f"{name} is {value!r}, not {kind} from {least:g} to {greatest:g}"
            raise ValueError(message)
