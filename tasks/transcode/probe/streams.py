"""Chooses which of a file's streams are transcoded: one of pictures, one of sound."""

from __future__ import annotations

from typing import Any

from .packets import AudioPackets, VideoPackets


def choose_video(container: Any) -> VideoPackets | None:
    """Return the default one of the video streams, else the first; None where there are only covers, or what no decoder knows."""
    real = [stream for stream in container.streams.video if not is_cover(stream) and stream.codec_context is not None]
    if not real:
        return None
    stream = next((stream for stream in real if stream.disposition & stream.disposition.default), real[0])
    # One thread: the first picture must come out without feeding a row of packets first.
    stream.codec_context.thread_count = 1
    return VideoPackets(stream)


def is_cover(stream: Any) -> bool:
    """Tell a picture that stands for the file from a moving one."""
    return bool(stream.disposition & (stream.disposition.attached_pic | stream.disposition.timed_thumbnails))


def choose_audio(container: Any, video: VideoPackets | None) -> AudioPackets | None:
    """Return the default one of the audio streams, else the first; of a transport stream, that of the pictures' programme."""
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        return None
    chosen = next((stream for stream in streams if stream.disposition & stream.disposition.default), streams[0])
    if video is not None and container.format.name == "mpegts":
        # A transport stream may carry several programmes: the sound must be that of the pictures.
        best = container.streams.best("audio", related=video.stream)
        chosen = best if best in streams else chosen
    return AudioPackets(chosen)
