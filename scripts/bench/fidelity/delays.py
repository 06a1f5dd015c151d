"""How late small changes are shown, in the largest rung and in the smallest that shows them."""

from __future__ import annotations

import itertools
import math
import operator
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.encoded import encode, run_ffmpeg
from fidelity.small_changes import CHANGES, CODECS, FROM_S, HEIGHT_PX, RATE, WIDTH_PX, make_changes, window_starts_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fidelity.encoded import Encoded

SEEN_LEVELS = 2
"""By how much one pixel of the source must change in a rung's size, for the change to be seen there."""
OLDEST_FRAMES = RATE


@dataclass(frozen=True)
class Delay:
    """A change in one rung."""

    codec: str
    change: str
    rung: str
    delay_ms: float | None
    """Greatest age of what is shown while it changes, and until the end of its window; None if a second or more."""


def measured_delays(codecs: list[str], *, checkout: Path, folder: Path) -> Iterator[Delay]:
    """Yield for each change its delay in the largest rung, and in the smallest ones up to one that shows it."""
    for codec in codecs:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source = make_changes(Path(place, "source.mkv"), codec)
            done = encode(source, Path(place, "output"), checkout=checkout)
            largest, *others = done.rungs
            in_largest = _delays(done, codec, largest, list(CHANGES))
            found = {name: [delay] for name, delay in in_largest.items()}
            unseen = list(CHANGES)
            for rung in reversed(others):
                delays = _delays(done, codec, rung, unseen) if unseen else {}
                for name, delay in delays.items():
                    found[name].append(delay)
                # If a change is lost, the next rung is measured too.
                unseen = [name for name in unseen if name not in delays or delays[name].delay_ms is None]
            yield from itertools.chain.from_iterable(found.values())


def _delays(done: Encoded, codec: str, rung: dict[str, int | str], names: list[str]) -> dict[str, Delay]:
    """Return the delays of those changes that can be seen in a rung."""
    due, shown = (_areas(done, rung, names, of_source=of_source) for of_source in (True, False))
    found = {name: _delay(codec, name, str(rung["name"]), due[name], shown[name]) for name in names}
    return {name: delay for name, delay in found.items() if delay is not None}


def _areas(done: Encoded, rung: dict[str, int | str], names: list[str], *, of_source: bool) -> dict[str, list[bytes]]:
    """Return the luma of each change's area in each frame of its window, in the size of a rung."""
    size = f"{rung['width_px']}:{rung['height_px']}"
    path = done.source if of_source else done.joined(str(rung["name"]))
    clock = done.source_filter(size) if of_source else done.output_filter()
    labels = [f"[a{at}]" for at in range(len(names))]
    starts_s = window_starts_s()
    chains = [f"[0:v]{clock},format=yuv420p,extractplanes=y,split={len(labels)}{''.join(labels)}"]
    outputs, sizes = [], {}
    for label, name in zip(labels, names, strict=True):
        x, y, width, height = _scaled(CHANGES[name].area, int(rung["width_px"]) / WIDTH_PX)
        sizes[name] = width * height
        first, end = starts_s[name] * RATE, (starts_s[name] + CHANGES[name].window_s) * RATE
        chains.append(
            f"{label}trim=start_frame={first}:end_frame={end},crop={width}:{height}:{x}:{y}:exact=1[o{label[1:]}"
        )
        outputs += ["-map", f"[o{label[1:]}", "-fps_mode", "passthrough", "-f", "rawvideo"]
        outputs.append(str(done.folder / f"area{len(sizes)}.raw"))
    run_ffmpeg(["-i", str(path), "-filter_complex", ";".join(chains), *outputs])
    areas = {}
    for number, (name, pixels) in enumerate(sizes.items(), start=1):
        raw = (done.folder / f"area{number}.raw").read_bytes()
        areas[name] = [raw[at : at + pixels] for at in range(0, len(raw), pixels)]
    return areas


def _scaled(area: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    """Return the smallest area of a rung that contains all of the source's."""
    x, y, width, height = area
    left, top = math.floor(x * scale), math.floor(y * scale)
    right = min(math.ceil((x + width) * scale), round(WIDTH_PX * scale))
    bottom = min(math.ceil((y + height) * scale), round(HEIGHT_PX * scale))
    return left, top, right - left, bottom - top


def _delay(codec: str, name: str, rung: str, due: list[bytes], shown: list[bytes]) -> Delay | None:
    """Return how late a change is shown; None if it cannot be seen in the source at this size.

    A frame of the output shows that frame of the source, of the last second, from which it differs least in
    the area. If several hardly differ, it shows the last of them.
    """
    start = round(FROM_S * RATE)
    end = start + max(1, round(CHANGES[name].moves_s * RATE))
    if (
        max(abs(one - other) for frame in due[start:end] for one, other in zip(due[start - 1], frame, strict=True))
        < SEEN_LEVELS
    ):
        return None
    steps = [_distance(one, other) for one, other in itertools.pairwise(due[start - 1 : end])]
    # Moments at which the source itself stands still do not count.
    least = min((step for step in steps if step > max(steps) / 10), default=0)
    ages = [_age(due, shown, at, least / 4) for at in range(start, len(shown))]
    oldest = None if None in ages else max(age for age in ages if age is not None)
    return Delay(codec, name, rung, None if oldest is None else oldest * 1000 / RATE)


def _age(due: list[bytes], shown: list[bytes], at: int, margin: float) -> int | None:
    """Return how many frames ago the source showed what the output shows; None if a second or more."""
    distances = [_distance(shown[at], due[at - age]) for age in range(min(at, OLDEST_FRAMES) + 1)]
    nearest = min(distances)
    age = next(age for age, distance in enumerate(distances) if distance <= nearest + margin)
    return age if age < OLDEST_FRAMES else None


def _distance(one: bytes, other: bytes) -> int:
    """Return the sum of the squared differences."""
    differences = list(map(operator.sub, one, other))
    return sum(map(operator.mul, differences, differences))


def delay_table(delays: list[Delay]) -> str:
    """Return a row for each change, source and rung."""
    lines = [f"{'change':<36} {'source':<17} {'rung':>6} {'delay ms':>9}"]
    lines += [f"{each.change:<36} {each.codec:<17} {each.rung:>6} {_figure(each.delay_ms):>9}" for each in delays]
    return "\n".join(lines)


def _figure(ms: float | None) -> str:
    return "not shown" if ms is None else f"{ms:.0f}"


CODEC_NAMES = list(CODECS)
