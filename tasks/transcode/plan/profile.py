"""Profiles that a job can request, and those that are built in.

A job stores its profile when it is requested, and its plan copies all that it needs, so changing a
profile never affects a running job. Own profiles are read from settings in `profile_fields`.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """x264's speed, one of LOOK_AHEAD_FRAMES: a slower one makes smaller files of the same quality."""
    max_rate_fps: int = 60
    """Frames per second above which a source's rate is divided by a whole number: half of 60 is 30. The default is
    the limit of Apple's HLS authoring specification, clause 1.9.
    """
    warm_up_gops: int = 3
    """GOPs of warm-up frames: encoded before a unit, so that the rate control is in the right
    state, then dropped (docs/adr/0008).
    """
    look_ahead_frames: int = 40
    """Frames encoded beyond the end of a unit and dropped: as many as the preset's lookahead, unless a profile has
    another number.
    """
    gop_s: float = 2.0
    """Distance between key frames: Apple's HLS authoring specification asks for 2 s."""
    segment_s: float = 6.0
    """Length of a segment, a whole number of GOPs: Apple's HLS authoring specification asks for 6 s."""
    unit_segments: int = 20
    """Maximum number of segments per unit: about two minutes, at which warm-up and look-ahead
    frames cost 6 %.
    """
    shared_unit_segments: int = 10
    """Minimum length of a unit, in segments, if several containers work on the video: about one minute,
    at which warm-up and look-ahead frames cost 12 %. Near the end of the video they may be as short as 12 s.
    """
    is_ramped: bool = True
    """Whether the first units are short (12, 24 and 48 s by default, in a long video after two of 6 s), so that the
    first seconds can be watched early. Where little moves, units that take few CPU seconds are left out.
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
    thumbnail_s: float | None = 10.0
    """Interval between the thumbnails of the seek bar, in whole GOPs; None for no thumbnails."""
    captions: bool = True
    """Whether the text streams of a source become captions."""
    automatic_captions: bool = False
    """Whether captions are made of the audio by speech recognition, if the source has none in the spoken language.
    It needs an image with an engine (docs/how-to/automatic-captions.md).
    """

    @property
    def segment_gops(self) -> int:
        """GOPs per segment."""
        return round(self.segment_s / self.gop_s)


SUMMARY = (
    "shorter side up to {sides} px, x264 preset {preset}, crf {factors}, at most {rates} kb/s, AAC at {audio} kb/s"
)
"""The text of `summary`."""


def summary(profile: Profile, text: str = SUMMARY) -> str:
    """Return a line with the ladder, the preset and the audio. `text` may be SUMMARY in another language."""
    sides = "/".join(str(rung.short_side_px) for rung in profile.rungs)
    rates = "/".join(f"{rung.maxrate_bps / 1000:g}" for rung in profile.rungs)
    factors = "/".join(str(rung.crf) for rung in profile.rungs)
    audio = f"{profile.audio_bps / 1000:g}"
    return text.format(sides=sides, preset=profile.preset, factors=factors, rates=rates, audio=audio)


LOOK_AHEAD_FRAMES = {
    "ultrafast": 0,
    "superfast": 0,
    "veryfast": 10,
    "faster": 20,
    "fast": 30,
    "medium": 40,
    "slow": 50,
    "slower": 60,
    "veryslow": 60,
}
"""x264's presets, fastest first -> frames that its rate control looks ahead (`x264 --fullhelp`, --rc-lookahead)."""

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
"""All built-in profiles by name."""

PURPOSES = {
    "standard": "lectures: slides stay legible on a large screen, and 240p plays on a slow network",
    "fast": "trying out the whole pipeline: small frames, encoded quickly",
}
"""Why each of them is there."""
