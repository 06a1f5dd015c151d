#!/bin/sh
# PyAV: seeking past the end of a file has four different results, and one of them is PermissionError.
#
# Versions: av 16.0.1 (PyAV, with its own FFmpeg 8).
# Expected: the same for each container: the last key frame, no frame, or an error about the position.
# Seen:     MP4 and Matroska return the last key frame. MPEG-TS returns no frame at all. With backward=False, MP4 raises
#           PermissionError "Operation not permitted", which an OSError handler takes for a file that may not be read.
# So:       compare the position with the duration before seeking, and catch av.FFmpegError before OSError: PermissionError is both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==16.0.1 imageio-ffmpeg==0.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess

import av
import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
make = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=10", "-c:v", "libx264", "-g", "50", "-bf", "0")


def frame_after_seek(name, **options):
    with av.open(name) as container:
        stream = container.streams.video[0]
        try:
            container.seek(int(60 / stream.time_base), stream=stream, **options)
            first = next(container.decode(stream), None)
        except OSError as error:
            return f"{type(error).__name__}, also av.FFmpegError: {isinstance(error, av.FFmpegError)}"
        return "no frame" if first is None else f"frame at {float(first.time - float(stream.start_time * stream.time_base)):.2f} s"


seen = {}
for name in ("a.mp4", "a.mkv", "a.ts"):
    subprocess.run([FFMPEG, "-v", "error", "-y", *make, name], check=True)
    seen[name] = frame_after_seek(name)
    print(f"{name}: {seen[name]}")
forward = frame_after_seek("a.mp4", backward=False)
print(f"a.mp4, backward=False: {forward}")
wanted = {"a.mp4": "frame at 8.00 s", "a.mkv": "frame at 8.00 s", "a.ts": "no frame"}
raise SystemExit(not (seen == wanted and forward.startswith("PermissionError")))
PYTHON
