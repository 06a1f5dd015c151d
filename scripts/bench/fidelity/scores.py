"""VMAF and PSNR of each rung against the source, and the bytes that they cost, for one build or two."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from contents import CONTENTS, RATE, make_content
from fidelity.encoded import Encoded, encode, run_ffmpeg

from tasks.transcode import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CRF_STEP = 2
LEAST_VMAF, LEAST_PSNR_DB = 0.3, 0.1
"""What the second encode must lose, so that bytes can be interpolated."""
FILM_RATE = 60
EVERY = 7
"""Of how many frames one is scored: no divisor of a GOP, so that key frames have no more than their share."""


@dataclass(frozen=True)
class Score:
    """What a rung is worth: means over frames on a steady clock, of which all are as far apart."""

    vmaf: float
    psnr_db: float
    """Of luma; a frame that equals the source's counts as 60 dB."""
    stored_bytes: int


@dataclass(frozen=True)
class Row:
    """A rung of one content: this build, the same with a higher CRF, and another build if there is one."""

    content: str
    rung: str
    this: Score
    softer: Score | None
    other: Score | None

    def bytes_ratio(self, other: Score) -> float:
        """Return the stored bytes of this build / the other's."""
        return self.this.stored_bytes / other.stored_bytes

    def bytes_ratio_at_equal_vmaf(self, other: Score) -> float:
        """Return the ratio if this build had the other's VMAF; of stills, VMAF hardly depends on the bytes."""
        return self._bytes_ratio_at_equal(other, lambda score: score.vmaf, LEAST_VMAF)

    def bytes_ratio_at_equal_psnr(self, other: Score) -> float:
        """Return the ratio if this build had the other's PSNR."""
        return self._bytes_ratio_at_equal(other, lambda score: score.psnr_db, LEAST_PSNR_DB)

    def _bytes_ratio_at_equal(self, other: Score, quality: Callable[[Score], float], least: float) -> float:
        """Return the ratio at equal quality; as it is if both encodes of this build hardly differ in quality.

        Interpolated: the logarithm of the bytes is linear in the quality between this build's two encodes.
        """
        if self.softer is None or quality(self.this) - quality(self.softer) < least:
            return self.bytes_ratio(other)
        saved = math.log(self.this.stored_bytes / self.softer.stored_bytes)
        slope = saved / (quality(self.this) - quality(self.softer))
        return self.bytes_ratio(other) * math.exp(slope * (quality(other) - quality(self.this)))


def scored(names: list[str], *, film: Path, length_s: float, other: Path | None, folder: Path) -> Iterator[Row]:
    """Yield a row for each rung of each content."""
    softer = folder / "softer.json"
    rungs = [
        {"short_side_px": rung.short_side_px, "crf": rung.crf + CRF_STEP, "maxrate_bps": rung.maxrate_bps}
        for rung in PROFILES["standard"].rungs
    ]
    softer.write_text(json.dumps({"rungs": rungs}))
    for name in names:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source = make_content(name, Path(place, "source.mkv"), film=film, length_s=length_s)
            rate = Fraction(FILM_RATE if name == "film" else RATE)
            this = encode(source, Path(place, "this"))
            other_one = encode(source, Path(place, "other"), checkout=other) if other else None
            names_of_rungs = [each["name"] for each in this.rungs]
            # Without more bytes there is nothing to compare at equal quality.
            is_larger = other_one and any(
                this.stored_bytes(rung) > other_one.stored_bytes(rung) for rung in names_of_rungs
            )
            softer_one = encode(source, Path(place, "softer"), profile=str(softer)) if is_larger else None
            for rung in names_of_rungs:
                found = [_score(each, rung, rate) if each else None for each in (this, softer_one, other_one)]
                yield Row(name, rung, *found)


def _score(done: Encoded, rung: str, rate: Fraction) -> Score:
    """Compare what viewers see at each moment, in the rung's size, with the source scaled to that size."""
    size = next(f"{each['width_px']}:{each['height_px']}" for each in done.rungs if each["name"] == rung)
    log = done.folder / "vmaf.json"
    graph = (
        f"[0:v]{done.output_filter(rate)}[shown];"
        f"[1:v]{done.source_filter(size, rate)}[due];"
        f"[shown][due]libvmaf=n_threads=1:n_subsample={EVERY}:feature=name=psnr:log_fmt=json:log_path={log}[scored]"
    )
    inputs = ("-i", str(done.joined(rung)), "-i", str(done.source))
    run_ffmpeg([*inputs, "-filter_complex", graph, "-map", "[scored]", "-f", "null", "-"])
    pooled = json.loads(log.read_text())["pooled_metrics"]
    return Score(pooled["vmaf"]["mean"], pooled["psnr_y"]["mean"], done.stored_bytes(rung))


def score_table(rows: list[Row]) -> str:
    """Return a row for each rung; with another build, also its figures and the ratios of the bytes."""
    lines = [f"{'content':<24} {'rung':>6} {'VMAF':>7} {'PSNR dB':>8} {'kB':>7}"]
    if any(row.other for row in rows):
        lines[0] += f" {'other VMAF':>11} {'PSNR dB':>8} {'kB':>7} {'bytes':>6} {'at equal VMAF':>14} {'PSNR':>6}"
    for row in rows:
        line = f"{row.content:<24} {row.rung:>6} {_figures(row.this)}"
        if row.other:
            at_equal = (
                f"{row.bytes_ratio_at_equal_vmaf(row.other):>14.3f} {row.bytes_ratio_at_equal_psnr(row.other):>6.3f}"
            )
            ratios = f"{row.bytes_ratio(row.other):>6.3f} {at_equal}"
            line += f"    {_figures(row.other)} {ratios}"
        lines.append(line)
    return "\n".join(lines)


def _figures(score: Score) -> str:
    return f"{score.vmaf:>7.2f} {score.psnr_db:>8.2f} {score.stored_bytes / 1000:>7.0f}"


CONTENT_NAMES = list(CONTENTS)
