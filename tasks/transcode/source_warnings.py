"""Warnings about sources that are transcoded anyway: stable codes, and messages for the owners."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

SOURCE_WARNINGS = {
    "READING_BROKE_OFF": "The file is damaged partway through; everything before the damage was kept. "
    "If the end is missing, please repair the recording and upload it again.",
    "SHORTER_THAN_DECLARED": "The file is shorter than it declares; everything it contains was kept. "
    "If the end is missing, the upload may have been cut off: please upload the file again.",
    "AUDIO_UNREADABLE": "The audio cannot be decoded, so the video is silent. "
    "To add it, please export the video again as an MP4 file with AAC audio, and upload that.",
    "CLOCK_STARTS_OVER": "The timestamps start over partway through the file, as happens when recordings are "
    "concatenated as plain files; what follows may be missing. Please join the recordings with a video editor, "
    "or upload them one by one.",
    "AUDIO_CUT": "The timestamps of the audio are damaged: it continues more than an hour after the end of the video. "
    "That part was left out. If audio is missing, please export the video again as an MP4 file, and upload that.",
    "PART_LEFT_OUT": "A part of the file has other streams than the rest, and was left out: about {}. "
    "To keep it, please export the whole video again as an MP4 file, and upload that.",
    "CAPTIONS_CUT": "The file contains more captions than we can take, so some were left out. "
    "Please check the captions in the file.",
    "CAPTIONS_IN_FRAMES": "The video has captions inside its frames (CEA-608 or CEA-708), which are left out. "
    "To keep them, please export them as a text track, and upload the video with that.",
}
"""Messages by code, in which a detail may have its place."""


def with_spans(code: str, spans_s: Iterable[tuple[Fraction, Fraction]]) -> str:
    """Return a code as the probe reports it, with spans of time as its detail: `CODE 0:00:12 to 0:00:18`."""
    return f"{code} " + ", ".join(f"{_clock(start_s)} to {_clock(end_s)}" for start_s, end_s in spans_s)


def describe(warning: str) -> dict[str, str]:
    """Return code and message of a warning that the probe reported."""
    code, _, detail = warning.partition(" ")
    return {"code": code, "message": SOURCE_WARNINGS[code].format(detail)}


def _clock(time_s: Fraction) -> str:
    return str(timedelta(seconds=round(time_s)))
