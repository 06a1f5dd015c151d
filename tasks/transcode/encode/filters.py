"""Filter graphs: one decode feeds every rung, the poster, the thumbnails and the seam check.

Frames that show nothing new are dropped before they are encoded, and the one before lasts longer (docs/adr/0040).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..plan.thumbnails import make_sprite, sprite_filter
from .fit import fit_filters, source_matrix, turn_filters

if TYPE_CHECKING:
    from ..plan.ladder import Rung
    from ..plan.plan import Plan, VideoUnit


@dataclass(frozen=True)
class VideoGraph:
    """A filter graph and the labels of its outputs."""

    text: str
    rungs: tuple[str, ...]
    """One label for each rung of the plan, in the plan's order."""
    check: str
    """A second copy of the smallest rung's frames, for checksums."""
    poster: str | None
    sprite: str | None


def first_encoded_frame(plan: Plan, unit: VideoUnit) -> int:
    """Return the first frame to encode for a unit: the first of its warm-up frames, if it has any."""
    return max(0, unit.first_frame - plan.warm_up_frames)


def end_encoded_frame(plan: Plan, unit: VideoUnit) -> int:
    """Return the end of the frames to encode for a unit, look-ahead frames included."""
    return min(plan.frames, unit.end_frame + plan.look_ahead_frames)


def video_specifier(plan: Plan, start_byte: int) -> str:
    """Return ffmpeg's specifier of the video stream if reading starts at an offset in the file."""
    return f"i:{plan.splicing.video_id}" if plan.splicing and start_byte else str(plan.stream)


_ANALYSED_US = "1000000"
"""Of a file whose streams change. With half of it, ffmpeg still recognized them; with a tenth it did not (measured)."""


def splicing_arguments(plan: Plan, stream: int, specifier: str, start_byte: int = 0) -> list[str]:
    """Return the arguments for an input that make one clock of several, and keep a stream's decoder; mostly none."""
    merging = ["-merge_pmt_versions", "1"] if plan.merges_streams else []
    decoder = dict(plan.decoders).get(stream)
    if decoder is not None:
        # Otherwise, that of any part that ffmpeg reads to find out what the streams are: by default up to 5 s.
        merging += ["-analyzeduration", _ANALYSED_US, f"-c:{specifier}", decoder, "-recast_media"]
    if plan.splicing is None:
        return merging
    filter_text = plan.splicing.filter_text(stream, start_byte)
    start = ["-skip_initial_bytes", str(start_byte)] if start_byte else []
    return [*merging, *start, f"-bsf:{specifier}", filter_text]


def video_graph(plan: Plan, unit: VideoUnit, start_byte: int = 0) -> VideoGraph:
    """Return the graph for a unit, with reading from an offset in the file.

    Each rung is scaled from the next larger one, which costs less than scaling from the source.
    """
    poster = plan.poster_frame if unit.first_frame <= plan.poster_frame < unit.end_frame else None
    sprite = make_sprite(plan.thumbnails, unit.first_frame, unit.end_frame)
    chains = [_grid_chain(plan, unit, video_specifier(plan, start_byte))]
    for index, rung in enumerate(plan.rungs):
        last = index == len(plan.rungs) - 1
        labels = [f"[v{index}]", "[check]" if last else f"[n{index}]"]
        if poster is not None and rung.name == plan.poster_rung:
            labels.append("[still]")
        if sprite is not None and last:
            labels.append("[small]")
        source = "[grid]" if index == 0 else f"[n{index - 1}]"
        scaled = f"{_first_scale(rung, plan)},{_news(plan, unit, rung)}" if index == 0 else _next_scale(rung)
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


def _grid_chain(plan: Plan, unit: VideoUnit, specifier: str) -> str:
    first, end = first_encoded_frame(plan, unit), end_encoded_frame(plan, unit)
    rate = f"{plan.rate.numerator}/{plan.rate.denominator}"
    # Show the first frame from time 0 on: the audio may begin earlier, or the decoder may return
    # the frame with a later timestamp than the probe's decoder did.
    from_zero = ":start_time=0" if first <= plan.first_source_frame else ""
    deinterlace = [_DEINTERLACE] if plan.interlaced else []
    # `eof_action=pass` keeps a last frame that lasts less than half a frame period; it may be the
    # only one.
    on_grid = f"fps={rate}:round=near:eof_action=pass{from_zero}"
    fit, turn = (fit_filters(plan, plan.fit), turn_filters(plan.fit)) if plan.fit else ([], [])
    steps = [f"[0:{specifier}]setpts=PTS-({plan.first_pts})", _WITHOUT_MATRIX, *fit, *deinterlace, *turn, on_grid]
    if end > plan.last_source_frame or plan.decoders:
        # Repeat the last frame for its own duration and until the audio ends. If the stream changes its codec, the
        # last one that decodes may be earlier: tables may be late.
        steps.append("tpad=stop=-1:stop_mode=clone")
    steps.append(f"trim=start_pts={first}:end_pts={end}")
    return ",".join(steps) + "[grid]"


_WITHOUT_MATRIX = "sidedata=mode=delete:type=DISPLAYMATRIX"
"""Keeps the source's rotation out of the outputs, where ffmpeg would write it again: their frames are upright."""

_DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"
"""One frame for each frame, not for each field; frames flagged as progressive stay unchanged."""

_HDR_PEAK = 1000 / 203
"""Peak luminance that is preserved, relative to diffuse white.

HDR is mastered for 1,000 nits; white is 203 nits (ITU-R BT.2408). Constant, because the value in
the file may be missing after a seek, and adjacent units must agree.
"""


def _first_scale(rung: Rung, plan: Plan) -> str:
    """Scale, and convert to the colour space of all rungs. The encoders copy the tags from the frames."""
    output_tags = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=limited"
    if plan.transfer:
        return f"setparams=colorspace={source_matrix(plan)},{_tone_map(rung, plan)},{output_tags}"
    # Tagged again, because scale rejects frames tagged with a matrix that it does not support
    # before it evaluates its own options.
    input_tags = f"setparams=colorspace={source_matrix(plan)}"
    colour = f"in_color_matrix={plan.matrix}:out_color_matrix=bt709:out_range=limited"
    return f"{input_tags},scale={rung.width_px}:{rung.height_px}:{colour},setsar=1,format=yuv420p,{output_tags}"


def _tone_map(rung: Rung, plan: Plan) -> str:
    """Scale, convert HDR to linear light, compress its range into BT.709's, and return to 8 bits."""
    # The input is tagged in full, because many files tag only half of it.
    input_range = "full" if plan.full_range else "limited"
    input_tags = f"tin={plan.transfer}:pin=bt2020:min=bt2020nc:rin={input_range}"
    return (
        f"scale={rung.width_px}:{rung.height_px},zscale={input_tags}:t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,"
        f"tonemap=mobius:peak={_HDR_PEAK:.3f}:desat=0,zscale=t=bt709:m=bt709:r=limited,setsar=1,format=yuv420p"
    )


_MARGIN_PX = 128
"""Space for marks, left of the image: mpdecimate never compares the first 8 columns of a plane, and zscale copies
frames whose rows do not start at a multiple of 64 bytes.
"""

_MARK_PX = 16
_BLOCK_PX = 8

_NEWS = "mpdecimate=hi=64:lo=32:frac=0.01"
"""Drops a frame unless, compared with the last one that was kept, one block of 8 x 8 pixels differs by more than
one level on average, or 1 % of the image by more than half a level. This is above the wobble that encoders
leave in a still, and below anything that can be seen (docs/adr/0040).
"""

_FRAMES_OF_A_SEGMENT = 3
"""Fewest frames that are kept of a segment. If a player loads a segment, and then one that is less than two of the
longest frames further on, Chromium deletes what it had between: findings/chromium-long-frames-delete-segments.sh.
"""

_WHOLE_END_S = 1
"""Length of the end of which all frames are kept: after a seek, Chromium shows nothing until it has about three
frames or the end of the stream, which a player may not give it after a seek to the end (docs/adr/0040).
"""


def _news(plan: Plan, unit: VideoUnit, rung: Rung) -> str:
    """Drop frames that show nothing new, but never the first one of a GOP, the last ones or the poster.

    A mark in the margin makes them differ from the frame before. It changes with each GOP, so what is
    dropped in a GOP depends on that GOP alone, whichever unit encodes it.
    """
    first, last = first_encoded_frame(plan, unit), end_encoded_frame(plan, unit) - 1
    marks = [rf"mod(floor(n/{plan.gop_frames})\,2)", rf"gte(n\,{last - first})"]
    whole_from = plan.frames - math.ceil(plan.rate * _WHOLE_END_S)
    if last >= whole_from:
        # By the frame's number, not by its place in the unit: adjacent units must agree.
        marks.append(rf"mod(n+{first}\,2)*gte(n\,{whole_from - first})")
    if first < plan.poster_frame < last:
        marks.append(rf"gte(n\,{plan.poster_frame - first})")
    width_px = _in_blocks(_MARGIN_PX + rung.width_px)
    height_px = _in_blocks(max(rung.height_px, len(marks) * _MARK_PX))
    boxes = [
        f"drawbox=x={_MARGIN_PX - _MARK_PX}:y={at * _MARK_PX}:w={_MARK_PX}:h={_MARK_PX}:c=white:t=fill:enable={mark}"
        for at, mark in enumerate(marks)
    ]
    return ",".join(
        [
            f"pad={width_px}:{height_px}:{_MARGIN_PX}:0",
            *boxes,
            f"{_NEWS}:max={max(1, plan.segment_frames // _FRAMES_OF_A_SEGMENT - 1)}",
            f"crop={rung.width_px}:{rung.height_px}:{_MARGIN_PX}:0",
        ]
    )


def _in_blocks(side_px: int) -> int:
    """Return the side rounded up to whole blocks of both luma and chroma, because others are not compared."""
    return -(-side_px // (2 * _BLOCK_PX)) * 2 * _BLOCK_PX


def _next_scale(rung: Rung) -> str:
    """Scale from the next larger rung.

    zscale needs two thirds of scale's time for the same bicubic curve, but accepts only even sizes.
    """
    return f"zscale={rung.width_px}:{rung.height_px}:filter=bicubic:param_a=0:param_b=0.6,setsar=1,format=yuv420p"
