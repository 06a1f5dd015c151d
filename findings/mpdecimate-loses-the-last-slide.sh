#!/bin/sh
# Dropping duplicate frames before the encoder shortens the file by its whole still ending.
#
# Versions: ffmpeg 7.0.2 (wheel imageio-ffmpeg 0.6.0), filter mpdecimate, MP4 output with variable frame rate.
# Expected: ten seconds of one still, deduplicated, are one frame that lasts ten seconds.
# Seen:     the video track lasts one nominal frame (0.04 s); audio of the same file lasts ten seconds. A frame's duration is only
#           known from the next frame, and the filter never sends one at the end. The same happens after the last change in any file:
#           a lecture that ends on a slide loses it.
# So:       keep the last frame of what is encoded (or write its duration), whatever else is dropped.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.6.0 av==15.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import subprocess

import av
import imageio_ffmpeg

still = "color=c=teal:size=320x180:rate=25:duration=10"
tone = "sine=frequency=440:duration=10"
command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", still, "-f", "lavfi", "-i", tone]
command += ["-vf", "mpdecimate", "-fps_mode", "vfr", "-c:v", "libx264", "-c:a", "aac", "still.mp4"]
subprocess.run(command, check=True)
with av.open("still.mp4") as file:
    video_s, audio_s = (float(stream.duration * stream.time_base) for stream in file.streams)
print(f"video {video_s:.2f} s, audio {audio_s:.2f} s")
raise SystemExit(not (video_s < 1 and audio_s > 9))
PYTHON
