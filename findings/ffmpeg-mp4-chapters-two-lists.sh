#!/bin/sh
# ffmpeg: an MP4 file has its chapters twice, and both what ffmpeg writes and what it reads mixes them up.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1), PyAV 18.1.0.
# Expected: three chapters, of which the second has no title, are read from an MP4 file as they were written, as from Matroska.
# Seen:     the muxer writes all of them to the Nero list (`chpl`), but leaves the untitled one out of the QuickTime track and begins the
#           first one at 0. The demuxer replaces Nero's chapters by the track's, number by number, so the third of Nero's stays behind the
#           track's two: the last chapter is there twice. An edit list of the track that begins inside a chapter (a film cut in QuickTime)
#           also moves the next chapter to the beginning: not shown here, because it needs a file that ffmpeg does not write.
# So:       read both lists on your own, and take the track's only if it does not agree with Nero's.
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
chapters = ((500, 1000, "title=A\n"), (1000, 2000, ""), (2000, 3000, "title=C\n"))
rows = [f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\n{title}" for start, end, title in chapters]
Path("a.txt").write_text(";FFMETADATA1\n" + "".join(rows))
found = {}
for name in ("a.mkv", "a.mp4"):
    source = ["-f", "lavfi", "-i", "testsrc=s=160x90:r=25:d=3", "-i", "a.txt", "-map_chapters", "1"]
    subprocess.run([*ffmpeg, *source, "-c:v", "libx264", name], check=True)
    with av.open(name) as file:
        found[name] = [
            (float(each["start"] * each["time_base"]), each["metadata"].get("title", "")) for each in file.chapters()
        ]
    print(name, found[name])
as_written = [(0.5, "A"), (1.0, ""), (2.0, "C")]
mixed = [(0.0, "A"), (2.0, "C"), (2.0, "C")]
raise SystemExit(found != {"a.mkv": as_written, "a.mp4": mixed})
PYTHON
