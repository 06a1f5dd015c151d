"""Writes the filter graphs: one decode feeds every rung, the poster, the thumbnails and the seam check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..plan.thumbnails import sprite_filter, sprite_of

if TYPE_CHECKING:
    from ..plan.ladder import Rung
    from ..plan.plan import AudioPlan, Plan, VideoUnit


@dataclass(frozen=True)
class VideoGraph:
    """A filter graph and the labels of what comes out of it."""

    text: str
    rungs: tuple[str, ...]
    """One for each rung of the plan, in its order."""
    check: str
    """The smallest rung's pictures once more, for checksums."""
    poster: str | None
    sprite: str | None


def first_encoded_frame(plan: Plan, unit: VideoUnit) -> int:
    """Return the frame with which the unit's run-in begins."""
    return max(0, unit.first_frame - plan.warm_up_frames)


def end_encoded_frame(plan: Plan, unit: VideoUnit) -> int:
    """Return the frame behind the unit's run-out."""
    return min(plan.frames, unit.end_frame + plan.look_ahead_frames)


def video_graph(plan: Plan, unit: VideoUnit) -> VideoGraph:
    """Return the graph for a unit. Each rung is scaled from the one above it, which costs less than from the source."""
    poster = plan.poster_frame if unit.first_frame <= plan.poster_frame < unit.end_frame else None
    sprite = sprite_of(plan.thumbnails, unit.first_frame, unit.end_frame)
    chains = [_grid_chain(plan, unit)]
    for index, rung in enumerate(plan.rungs):
        last = index == len(plan.rungs) - 1
        labels = [f"[v{index}]", "[check]" if last else f"[n{index}]"]
        if poster is not None and rung.name == plan.poster_rung:
            labels.append("[still]")
        if sprite is not None and last:
            labels.append("[small]")
        source = "[grid]" if index == 0 else f"[n{index - 1}]"
        scaled = _first_scale(rung, plan) if index == 0 else _smaller(rung)
        chains.append(f"{source}{scaled},split={len(labels)}{''.join(labels)}")
    if poster is not None:
        chains.append(
            f"[still]trim=start_pts={poster}:end_pts={poster + 1},"
            "scale=in_color_matrix=bt709:out_color_matrix=smpte170m:out_range=full,format=yuvj420p[poster]"
        )
    if sprite is not None:
        chains.append(f"[small]{sprite_filter(sprite)}[sprite]")
    return VideoGraph(
        text=";".join(chains),
        rungs=tuple(f"[v{index}]" for index in range(len(plan.rungs))),
        check="[check]",
        poster=None if poster is None else "[poster]",
        sprite=None if sprite is None else "[sprite]",
    )


def _grid_chain(plan: Plan, unit: VideoUnit) -> str:
    first, end = first_encoded_frame(plan, unit), end_encoded_frame(plan, unit)
    rate = f"{plan.rate.numerator}/{plan.rate.denominator}"
    # The first picture stands from 0 on, where the sound begins earlier, or the decoder gives it later than the probe's did.
    from_zero = ":start_time=0" if first <= plan.first_source_frame else ""
    deinterlace = [_DEINTERLACE] if plan.interlaced else []
    # At the end, `pass` keeps a picture that stands for less than half a frame; there may be no other.
    on_grid = f"fps={rate}:round=near:eof_action=pass{from_zero}"
    steps = [f"[0:{plan.stream}]setpts=PTS-({plan.first_pts})", *deinterlace, on_grid]
    if end > plan.last_source_frame:
        # The last picture stands for its own duration, and for as long as the sound goes on.
        steps.append("tpad=stop=-1:stop_mode=clone")
    steps.append(f"trim=start_pts={first}:end_pts={end}")
    return ",".join(steps) + "[grid]"


_DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"
"""A picture for each picture, not for each field; what is marked as progressive stays as it is."""

_HDR_PEAK = 1000 / 203
"""The brightest light kept apart, over diffuse white: 1,000 nits is what HDR is mastered for, 203 is white (ITU-R BT.2408).

Fixed, for the file's own word may be missing behind a seek, and neighbouring units must agree.
"""


def _first_scale(rung: Rung, plan: Plan) -> str:
    """Scale, and convert to the colours that all rungs have. The encoders take the names from the pictures."""
    names = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=limited"
    if plan.transfer:
        return f"setparams=colorspace=bt2020nc,{_tone_map(rung, plan)},{names}"
    # Named again, for scale refuses pictures that bear the name of a matrix that it does not know, before it looks at its options.
    named = f"setparams=colorspace={'bt2020nc' if plan.matrix == 'bt2020' else plan.matrix}"
    colour = f"in_color_matrix={plan.matrix}:out_color_matrix=bt709:out_range=limited"
    return f"{named},scale={rung.width_px}:{rung.height_px}:{colour},setsar=1,format=yuv420p,{names}"


def _tone_map(rung: Rung, plan: Plan) -> str:
    """Scale, bring HDR to linear light, press its range into that of BT.709, and go back to 8 bits."""
    # What comes in is named, for many files name only half of it.
    come = f"tin={plan.transfer}:pin=bt2020:min=bt2020nc:rin=limited"
    return (
        f"scale={rung.width_px}:{rung.height_px},zscale={come}:t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,"
        f"tonemap=mobius:peak={_HDR_PEAK:.3f}:desat=0,zscale=t=bt709:m=bt709:r=limited,setsar=1,format=yuv420p"
    )


def _smaller(rung: Rung) -> str:
    """Scale from the rung above. zscale takes two thirds of the time of scale for the same bicubic curve, but only even sizes."""
    return f"zscale={rung.width_px}:{rung.height_px}:filter=bicubic:param_a=0:param_b=0.6,setsar=1,format=yuv420p"


def audio_graph(audio: AudioPlan, *, with_poster: bool) -> str:
    """Return the graph for the sound: on the grid's clock, gaps filled, stereo, exactly as long as planned.

    It starts one AAC frame in: the encoder puts a frame of priming in front, so that media time 0 is shown at 0.
    """
    start = f"({audio.start_s.numerator}/{audio.start_s.denominator})"
    sound = (
        f"[0:{audio.stream}]asetpts=PTS-{start}/TB,"
        f"aresample={audio.sample_rate_hz}:async=1000:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo,"
        f"apad,atrim=start_sample=1024:end_sample={audio.aac_frames * 1024}"
    )
    return f"{sound},asplit[sound][heard];{_audio_poster(audio)}" if with_poster else f"{sound}[sound]"


_WAVEFORM_WIDTH_PX = 1280
_WAVEFORM_RATE_HZ, _SHORT_WAVEFORM_RATE_HZ = 2_000, 192_000
"""Low, for ffmpeg holds all samples until it draws; but it draws nothing of fewer samples than there are columns."""


def _audio_poster(audio: AudioPlan) -> str:
    """Return what draws the poster of a recording without pictures: its waveform."""
    length_s = (audio.aac_frames - 1) * 1024 / audio.sample_rate_hz
    long = length_s * _WAVEFORM_RATE_HZ > _WAVEFORM_WIDTH_PX
    return (
        f"[heard]aformat=channel_layouts=mono,aresample={_WAVEFORM_RATE_HZ if long else _SHORT_WAVEFORM_RATE_HZ},"
        f"showwavespic=size={_WAVEFORM_WIDTH_PX}x720:colors=0x7aa2f7,format=yuvj420p[poster]"
    )
