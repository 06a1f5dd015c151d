"""Filters that bring frames of all sizes and shapes to one size, and upright.

ffmpeg would build the filter graph again at each change, and lose the frames and counts that its filters keep. So the
graph stays, and these filters, which treat each frame by itself, are the only ones that meet a change.
Frames of another shape get bars: they are neither stretched nor cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..source import UNCROPPED, UPRIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from ..plan.fit import Fit
    from ..plan.plan import Plan
    from ..source import Turn

_TURNS: dict[Turn, tuple[str, ...]] = {
    UPRIGHT: (),
    (0, 1, -1, 0): ("transpose=clock",),
    (-1, 0, 0, -1): ("hflip", "vflip"),
    (0, -1, 1, 0): ("transpose=cclock",),
    (-1, 0, 0, 1): ("hflip",),
    (1, 0, 0, -1): ("vflip",),
    (0, 1, 1, 0): ("transpose=cclock_flip",),
    (0, -1, -1, 0): ("transpose=clock_flip",),
}


def source_matrix(plan: Plan) -> str:
    """Return the colour matrix of the source by the scale filter's name."""
    return "bt2020nc" if plan.transfer or plan.matrix == "bt2020" else plan.matrix


def fit_filters(plan: Plan, fit: Fit) -> list[str]:
    """Return the filters for the frames as decoded, which still may have fields."""
    if not fit.is_needed and not plan.interlaced:
        # The rungs' own scaler takes frames of any size.
        return []
    filters = [f"setparams=colorspace={source_matrix(plan)}"]
    if fit.has_bars:
        filters += _with_bars(plan, fit)
    else:
        # Does nothing unless a size changes unforeseen: the filters after it read beyond smaller frames.
        filters.append(f"scale={fit.width_px}:{fit.height_px}")
    if fit.crop_px != UNCROPPED:
        left, top, right, bottom = fit.crop_px
        first_row = top - top % 4 if plan.interlaced else top
        filters.append(f"crop={fit.width_px - left - right}:{fit.height_px - top - bottom}:{left}:{first_row}")
    return filters


def turn_filters(fit: Fit) -> list[str]:
    """Return the filters that turn whole frames upright."""
    return list(_TURNS[fit.turn])


def _with_bars(plan: Plan, fit: Fit) -> list[str]:
    """Scale each frame to the largest size that fits, and centre it.

    Sides that miss the full size by less than two pixels of the frame, or 1 %, are rounded to it: encoders round
    sizes, and a bar of one pixel would be nothing but a flaw.
    """
    width_px, height_px = fit.width_px, fit.height_px
    aspect = _aspect_over_time(plan, fit.aspects)
    side = "'st(0,min({full},{by_other}));if(lt({full}-ld(0),min(2*{full}/{own},{full}/100)),{full},max(2,2*trunc(ld(0)/2+0.5)))'"
    width = side.format(full=width_px, own="iw", by_other=f"{height_px}*iw*{aspect}/ih")
    height = side.format(full=height_px, own="ih", by_other=f"{width_px}*ih/(iw*{aspect})")
    # Whole rows of chroma of both fields.
    rows = 8 if plan.interlaced else 4
    fields = ":interl=-1" if plan.interlaced else ""
    matrix = "bt2020" if source_matrix(plan) == "bt2020nc" else plan.matrix
    return [
        f"scale=w={width}:h={height}:eval=frame{fields}:in_color_matrix={matrix}:out_color_matrix={matrix}",
        f"format={'yuv420p10le' if plan.transfer else 'yuv420p'}",
        f"pad={width_px}:{height_px}:x='(ow-iw)/2':y='{rows // 2}*trunc((oh-ih)/{rows})':eval=frame",
    ]


def _aspect_over_time(plan: Plan, aspects: Sequence[tuple[int, Fraction]]) -> str:
    """Return an expression for the width of a frame's pixels, relative to those of most of the video.

    A tree, because ffmpeg accepts no long sums.
    """
    if len(aspects) == 1:
        return f"({aspects[0][1]})"
    middle = len(aspects) // 2
    # Between two ticks, because times are floating point there.
    from_s = float((aspects[middle][0] - plan.first_pts) * plan.time_base - plan.time_base / 2)
    before, after = (_aspect_over_time(plan, part) for part in (aspects[:middle], aspects[middle:]))
    return f"if(lt(t,{from_s:.9f}),{before},{after})"
