"""What can go wrong with speech, by stable codes. None of it fails the video."""

from __future__ import annotations

from ..errors import EncodeError

FAILED, CRASHED, TOO_SLOW, HUNG = "SPEECH_FAILED", "SPEECH_CRASHED", "SPEECH_TOO_SLOW", "SPEECH_HUNG"
AUDIO, OUT_OF_MEMORY, ANSWER = "SPEECH_AUDIO", "SPEECH_OUT_OF_MEMORY", "SPEECH_ANSWER"
NO_ENGINE, NO_WEIGHTS = "SPEECH_NO_ENGINE", "SPEECH_NO_WEIGHTS"
INTERRUPTED = "SPEECH_INTERRUPTED"
"""Containers ended while they worked on a part, again and again."""


class SpeechError(EncodeError):
    """The engine, or the audio for it, failed. Only the automatic captions of the video are lost."""
