"""Choice of the streams to transcode: one video stream and one audio stream."""

from __future__ import annotations

from typing import Any

from .packets import AudioPackets, VideoPackets


def choose_video(container: Any) -> VideoPackets | None:
    """Return the default video stream, else the first; None if there is none.

    Cover art and streams without a decoder do not count.
    """
    candidates = [
        stream for stream in container.streams.video if not is_cover(stream) and stream.codec_context is not None
    ]
    if not candidates:
        return None
    stream = next((stream for stream in candidates if stream.disposition & stream.disposition.default), candidates[0])
    # One thread: the first frame must be returned without feeding several more packets first.
    stream.codec_context.thread_count = 1
    return VideoPackets(stream)


def is_cover(stream: Any) -> bool:
    """Return whether the stream is cover art or a set of thumbnails rather than video."""
    return bool(stream.disposition & (stream.disposition.attached_pic | stream.disposition.timed_thumbnails))


def choose_audio(container: Any, video: VideoPackets | None) -> AudioPackets | None:
    """Return the default audio stream, else the first; None if none has a decoder.

    In a transport stream, an audio stream of the video's program takes precedence.
    """
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        return None
    chosen = next((stream for stream in streams if stream.disposition & stream.disposition.default), streams[0])
    if video is not None and container.format.name == "mpegts":
        # A transport stream may contain several programs: the audio must match the video.
        best = container.streams.best("audio", related=video.stream)
        chosen = best if best in streams else chosen
    return AudioPackets(chosen)
