"""Profiles: what a person may ask for. A plan copies all it needs, so a changed profile never changes a running job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProfileRung:
    """One step of the ladder, by the shorter side of its picture."""

    short_side_px: int
    crf: int
    """x264's constant rate factor: the quality aimed at; lower is better."""
    maxrate_bps: int
    """Ceiling for a 16:9 picture at up to 30 pictures a second; the buffer is twice as large."""


@dataclass(frozen=True)
class Profile:
    """A ladder and how it is encoded. Durations become whole frames of the source's grid when planning."""

    name: str
    rungs: tuple[ProfileRung, ...]
    """Largest first."""
    preset: str
    warm_up_gops: int = 3
    """GOPs encoded before a unit and dropped, so that its rate control is warm; why so many: docs/adr/0008."""
    look_ahead_frames: int = 40
    """Frames encoded after a unit and dropped: x264's lookahead at preset medium."""
    gop_s: float = 2.0
    """Distance of key frames: Apple's authoring specification for HLS asks for 2 s."""
    segment_gops: int = 3
    """GOPs in a segment: 6 s, Apple's target duration."""
    unit_segments: int = 20
    """Most segments in a unit: about two minutes, where run-in and run-out cost 6 %."""
    audio_bps: int = 128_000
    thumbnail_s: float = 10.0
    """Distance of thumbnails, when seeking."""


_LADDER = (
    ProfileRung(short_side_px=1080, crf=23, maxrate_bps=4_500_000),
    ProfileRung(short_side_px=720, crf=23, maxrate_bps=2_500_000),
    ProfileRung(short_side_px=480, crf=23, maxrate_bps=1_200_000),
    ProfileRung(short_side_px=360, crf=23, maxrate_bps=800_000),
    ProfileRung(short_side_px=240, crf=24, maxrate_bps=400_000),
)

STANDARD = Profile(name="standard", rungs=_LADDER, preset="medium")
"""For lectures: slides must stay legible, faces may be soft."""

FAST = Profile(
    name="fast",
    rungs=_LADDER[2:],
    preset="veryfast",
    warm_up_gops=1,
    look_ahead_frames=10,
    unit_segments=10,
    audio_bps=96_000,
)
"""A small ladder in little time, in units of a minute: for trying the whole path."""

PROFILES = {profile.name: profile for profile in (STANDARD, FAST)}
"""All profiles by name."""
