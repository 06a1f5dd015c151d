#!/bin/sh
# PyAV: a file in which streams appear after its beginning is read to its last packet, and then demux raises IndexError.
#
# Versions: PyAV 18.1.0, ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1).
# Expected: demux ends as for any other file; or the new streams appear in container.streams; or an error is raised where they begin.
# Seen:     a transport stream of 36 s whose streams have other PIDs in the middle third (a recorder whose settings changed, for example)
#           has two streams in container.streams before and after. All 600 packets of the first video stream are returned; then,
#           instead of StopIteration, demux raises IndexError: list index out of range. It flushes the decoders by the number of streams
#           that libav has by then. If the other PIDs come last, all four streams are found when the file is opened, since
#           libav also reads its end, and nothing is raised.
# So:       take IndexError after the last packet for the end of the file, not for a damaged one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1 av==18.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
print(subprocess.run([*ffmpeg, "-version"], capture_output=True, text=True).stdout.split()[2], "PyAV", av.__version__)
FILM = ("-f", "lavfi", "-i", "testsrc=size=160x90:rate=25:duration=12", "-f", "lavfi", "-i", "sine=duration=12")


def part(pid: str, offset_s: int) -> bytes:
    options = ("-c:v", "mpeg2video", "-c:a", "mp2", "-mpegts_start_pid", pid, "-output_ts_offset", str(offset_s))
    subprocess.run([*ffmpeg, *FILM, *options, "part.ts"], check=True)
    return Path("part.ts").read_bytes()


def read(path: str) -> tuple[int, int, str]:
    packets, end = 0, "StopIteration"
    with av.open(path) as file:
        try:
            for packet in file.demux(file.streams.video[0]):
                packets += packet.size > 0
        except IndexError as error:
            end = repr(error)
        return packets, len(file.streams), end


usual, other = part("0x100", 0), part("0x200", 12)
Path("between.ts").write_bytes(usual + other + part("0x100", 24))
Path("last.ts").write_bytes(usual + other)
found = {path: read(path) for path in ("between.ts", "last.ts")}
for path, (packets, streams, end) in found.items():
    print(f"{path}: {packets} packets of the first video stream, {streams} streams, then {end}")
expected = {"between.ts": (600, 2, "IndexError('list index out of range')"), "last.ts": (300, 4, "StopIteration")}
raise SystemExit(found != expected)
PYTHON
