"""Filter graph of an audio track: on the grid's clock, in stereo, at one loudness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..audio.level import CEILING_DB
from ..audio.mix import MICROPHONE, MIX

if TYPE_CHECKING:
    from ..plan.plan import AudioPlan, AudioTrack

_DRIFT_S = 0.02
"""Drift between the audio and its timestamps that is left alone."""

_SMOOTHED_OVER_S = 0.5
"""Time constant over which the timestamps of packets are averaged. Recorders in browsers write timestamps that are up
to 10 ms early or late, multiplexers of broadcasts up to a packet; following these bends the pitch of a steady tone by
4 Hz. A gap or drift remains in the average.
"""

_GAP_S = 0.1
"""A packet that is early or late by more is no jitter: silence is inserted, or samples are dropped, at once, as the
resampler does it (min_hard_comp).
"""


_BOTH_EARS = "pan=stereo|c0=c0+c1|c1=c0+c1"
"""The sum, because only excerpts were measured: the other channel may have audio for a while."""

_LIMITER = f"alimiter=limit={10 ** (CEILING_DB / 20):.4f}:attack=5:release=50:level=disabled:latency=enabled"
"""Holds back single peaks for milliseconds, and changes nothing below its ceiling."""


def audio_graph(audio: AudioPlan, track: AudioTrack, *, end_aac: int, with_poster: bool) -> str:
    """Return the graph for the first `end_aac` AAC frames of a track: on the grid's clock, gaps filled, stereo.

    It is exactly that long.

    It starts one AAC frame in: the encoder prepends one priming frame, so media time 0 is presented
    at 0.
    """
    timed = f"asetpts='{_steady_times(audio)}'"
    resampled = f"aresample={audio.sample_rate_hz}:async=1000:min_comp={_DRIFT_S}:first_pts=0"
    if len(track.streams) > 1:
        # Each padded, so that the mix does not end with the shorter one.
        mono = "aformat=sample_fmts=fltp:channel_layouts=mono,apad"
        chains = [f"[0:{stream}]{timed},{MICROPHONE},{resampled},{mono}[m{stream}]" for stream in track.streams]
        mixed = "".join(f"[m{stream}]" for stream in track.streams)
        stereo = f"{';'.join(chains)};{mixed}{MIX},aformat=sample_fmts=fltp:channel_layouts=stereo"
    else:
        downmix = f",{track.downmix}" if track.downmix else ""
        layout = "aformat=sample_fmts=fltp:channel_layouts=stereo"
        stereo = f"[0:{track.streams[0]}]{timed}{downmix},{resampled},{layout}"
    chain = ",".join(
        [
            stereo,
            *([_BOTH_EARS] if track.is_one_sided else []),
            *([f"volume={track.gain_db}dB", _LIMITER] if track.gain_db is not None else []),
            f"apad,atrim=start_sample=1024:end_sample={end_aac * 1024}",
        ]
    )
    return f"{chain},asplit[audio][waveform];{_audio_poster(audio)}" if with_poster else f"{chain}[audio]"


def _steady_times(audio: AudioPlan) -> str:
    """Return an expression for the time of a packet on the grid's clock, without the jitter of its timestamp.

    That is the time of its first sample, counted from the beginning, plus an average of what timestamps differ from it.
    """
    counted = "N/(SR*TB)"
    start = f"({audio.start_s.numerator}/{audio.start_s.denominator})/TB"
    # 0: the average; 1: whether there is one; 2: what this packet's timestamp differs.
    average = f"ld(0)+(ld(2)-ld(0))*min(1,S/SR/{_SMOOTHED_OVER_S})"
    is_jitter = f"ld(1)*lt(abs(ld(2)-ld(0))*TB,{_GAP_S})"
    return (
        f"st(2,if(isnan(PTS),ld(0),PTS-{counted}));st(0,if({is_jitter},{average},ld(2)));st(1,1);"
        f"round({counted}+ld(0)-{start})"
    )


_WAVEFORM_WIDTH_PX = 1280
_WAVEFORM_RATE_HZ, _SHORT_WAVEFORM_RATE_HZ = 2_000, 192_000
"""Low, because ffmpeg keeps all samples until it draws; but it draws nothing from fewer samples than columns."""


def _audio_poster(audio: AudioPlan) -> str:
    """Return the filters that draw the poster of an audio-only recording: its waveform."""
    length_s = (audio.aac_frames - 1) * 1024 / audio.sample_rate_hz
    long = length_s * _WAVEFORM_RATE_HZ > _WAVEFORM_WIDTH_PX
    return (
        f"[waveform]aformat=channel_layouts=mono,aresample={_WAVEFORM_RATE_HZ if long else _SHORT_WAVEFORM_RATE_HZ},"
        f"showwavespic=size={_WAVEFORM_WIDTH_PX}x720:colors=0x7aa2f7,format=yuvj420p[poster]"
    )
