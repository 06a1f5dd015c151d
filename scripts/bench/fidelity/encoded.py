"""Outputs of an engine, of this checkout or another one, and their frames and the source's on one clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Encoded:
    """A finished output folder of `python -m tasks.transcode`."""

    source: Path
    folder: Path
    plan: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def rate(self) -> Fraction:
        """Frames per second of the output's grid."""
        return Fraction(self.plan["rate"])

    @property
    def rungs(self) -> list[dict[str, Any]]:
        """The plan's rungs, largest first: `name`, `width_px`, `height_px`, ..."""
        return list(self.plan["rungs"])

    def joined(self, track: str) -> Path:
        """Return one file with the init and all segments of a rung (or `audio`), as a player would append them."""
        path = self.folder / f"{track}.joined.mp4"
        with path.open("wb") as file:
            for entry in self._objects(track):
                content = (self.folder / entry["url"]).read_bytes()
                file.write(content if file.tell() == 0 else content[entry["init_bytes"] :])
        return path

    def stored_bytes(self, track: str) -> int:
        """Return the bytes of all files of a track."""
        return sum(entry["bytes"] for entry in self._objects(track))

    def source_filter(self, size: str, rate: Fraction | None = None) -> str:
        """Return filters that show the source's frames as the output should: its clock, colour space and size.

        `size` is width:height; `rate` the frames per second, the output's by default.
        """
        colour = f"in_color_matrix={self.plan['matrix']}:out_color_matrix=bt709:out_range=limited"
        return (
            f"setpts=PTS-({self.plan['first_pts']}),{self.output_filter(rate)},scale={size}:flags=bicubic:{colour},"
            # Tagged as the outputs are: findings/ffmpeg-comparing-filters-convert-one-input.sh.
            "setsar=1,format=yuv420p,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=limited"
        )

    def output_filter(self, rate: Fraction | None = None) -> str:
        """Return filters that repeat each frame of an output for as long as it lasts, `rate` times a second."""
        rate = rate or self.rate
        frames = int(self.plan["frames"] / self.rate * rate)
        return f"fps={rate.numerator}/{rate.denominator}:start_time=0,trim=end_frame={frames}"

    def _objects(self, track: str) -> list[dict[str, Any]]:
        return [entry for entry in self.manifest["objects"] if (entry["rung"] or entry["role"]) == track]


def encode(source: Path, folder: Path, *, checkout: Path = ROOT, profile: str = "standard") -> Encoded:
    """Encode `source` with the engine of a checkout, whose virtual environment must exist."""
    own = checkout.resolve() == ROOT
    python = sys.executable if own else str(checkout.resolve() / ".local" / "venv" / "bin" / "python")
    command = [python, "-m", "tasks.transcode", str(source), str(folder), "--profile", profile]
    run = subprocess.run(
        [*command, "--threads", "1", "--parallel", "1"],
        env=os.environ | {"PYTHONPATH": str(checkout.resolve())},
        cwd=folder.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if run.returncode != 0:
        message = f"{checkout} failed with exit code {run.returncode}:\n{run.stdout.decode()}\n{run.stderr.decode()}"
        raise RuntimeError(message)
    plan = json.loads((folder / "plan.json").read_text())["plan"]
    return Encoded(source, folder, plan, json.loads((folder / "manifest.json").read_text()))


def run_ffmpeg(arguments: Sequence[str]) -> bytes:
    """Run ffmpeg and return its standard output. Raises CalledProcessError."""
    command = [ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
