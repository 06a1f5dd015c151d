#!/bin/sh
# x264 with a bit-rate ceiling writes other bytes at every run as soon as it has more than one frame thread.
#
# Versions: ffmpeg 7.0.2 with libx264 (wheel imageio-ffmpeg 0.6.0).
# Expected: an encoder without hardware is deterministic; x264's own documentation calls it so for the same settings.
# Seen:     CRF with -maxrate/-bufsize and 4 threads: several runs give several files. With one thread, and without the
#           ceiling, every run gives the same bytes.
# So:       output that must be reproducible (units of one video encoded by whichever machine comes, tests that compare checksums)
#           needs one thread per encoder, and its parallelism from running several encoders.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import subprocess

import imageio_ffmpeg

SOURCE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=8,noise=alls=20:allf=t")
CEILING = ("-maxrate", "200k", "-bufsize", "400k")


def distinct(runs, *arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *SOURCE, "-c:v", "libx264", "-crf", "23", *arguments]
    command += ["-bitexact", "-f", "h264", "-"]
    return len({hashlib.sha256(subprocess.run(command, capture_output=True, check=True).stdout).hexdigest() for _ in range(runs)})


seen = {
    "ceiling, 4 threads, 5 runs": distinct(5, *CEILING, "-threads", "4"),
    "ceiling, 1 thread, 2 runs": distinct(2, *CEILING, "-threads", "1"),
    "no ceiling, 4 threads, 2 runs": distinct(2, "-threads", "4"),
}
for what, files in seen.items():
    print(f"{what}: {files} different files")
first, *others = seen.values()
raise SystemExit(not (first > 1 and others == [1, 1]))
PYTHON
