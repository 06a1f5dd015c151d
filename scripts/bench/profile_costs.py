"""Measure what the built-in profiles cost: CPU seconds and bytes for slides and for a camera, both generated.

Usage: .local/venv/bin/python scripts/bench/profile_costs.py [--length-s 20]. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from measured_run import run_measured  # noqa: E402  # found by the path above

from tasks.transcode import PROFILES  # noqa: E402  # found by the path above
from tasks.transcode.sandbox.ffmpeg import ffmpeg_binary  # noqa: E402  # as above

SOURCES = {
    "slides": "testsrc2=s=1920x1080:r=1/7,fps=30",
    # Everything moves a little in each frame, and no two frames have the same noise, as from a sensor.
    "camera": "mandelbrot=s=640x360:r=30,scale=1920:1080:flags=lanczos,setsar=1,noise=alls=7:allf=t",
}
"""Content -> lavfi source: slides, one every 7 s, and a slow zoom with noise."""


def main() -> None:
    """Print a row for each profile and content."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--length-s", type=int, default=20, metavar="S", help="default: %(default)s")
    length_s = options.parse_args().length_s
    os.environ["PYTHONPATH"] = str(ROOT)
    print(f"{'profile':>9} {'content':>8} {'CPU s':>7} {'kB':>7}  kbit/s of each rung, and of the audio")
    with tempfile.TemporaryDirectory(prefix="profiles-") as folder:
        for content, graph in SOURCES.items():
            source = make_source(Path(folder, f"{content}.mp4"), graph, length_s=length_s)
            for name in PROFILES:
                output = Path(folder, f"{content}-{name}")
                command = [sys.executable, "-m", "tasks.transcode", str(source), str(output), "--profile", name]
                command += ["--parallel", "1"]
                cost = run_measured(command, folder=Path(folder), log=Path(folder, "log"))
                manifest = json.loads((output / "manifest.json").read_text())
                stored_kb = sum(entry["bytes"] for entry in manifest["objects"]) / 1000
                tracks = [*manifest["rungs"], *manifest["audio"]]
                rates = ", ".join(f"{track['name']} {track['average_bps'] / 1000:.0f}" for track in tracks)
                print(f"{name:>9} {content:>8} {cost.cpu_s:>7.1f} {stored_kb:>7.0f}  {rates}", flush=True)


def make_source(path: Path, graph: str, *, length_s: int) -> Path:
    """Encode a generated source with a voice-like tone, as a recorder would."""
    tone = "sine=frequency=220:sample_rate=48000,tremolo=f=4,volume=0.5"
    subprocess.run(
        [
            *(ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"),
            *("-f", "lavfi", "-i", graph, "-f", "lavfi", "-i", tone, "-t", str(length_s)),
            *("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)),
        ],
        check=True,
    )
    return path


if __name__ == "__main__":
    main()
