#!/bin/sh
# ffmpeg takes a disk that cannot be read for the end of the file, and ends with exit code 0.
#
# Versions: ffmpeg 9.0.2 (wheel imageio-ffmpeg 0.8.1), demuxer mov.
# Expected: a block in the middle of the source that cannot be read (EIO) makes ffmpeg fail.
# Seen:     one line of error output ("Error during demuxing: Input/output error"), then the end of the input. With -af apad,atrim, as one
#           writes to get audio of an exact length, the file has all its samples and exit code 0; what follows the bad block is silence.
#           libav gives the same line for damaged files, so the line alone proves nothing about the disk.
# So:       if the line is there, read the source once more without ffmpeg: the kernel repeats EIO, a damaged file can be read.
#
# The bad block is a page that is missing in the memory of the process that has the file: reading it through /proc/PID/mem fails with EIO.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio-ffmpeg==0.8.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import ctypes
import mmap
import os
import subprocess
import wave
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LENGTH_S = 20
make = ("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={LENGTH_S}", "-f", "lavfi", "-i", f"sine=duration={LENGTH_S}")
encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "800k", "-c:a", "aac", "-movflags", "+faststart")
subprocess.run([FFMPEG, "-v", "error", *make, *encoder, "lecture.mp4"], check=True)

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PTRACER, ANY = 0x59616D61, ctypes.c_ulong(-1)
libc.prctl(PR_SET_PTRACER, ANY, 0, 0, 0)  # where Yama would keep ffmpeg from this process's memory
content = Path("lecture.mp4").read_bytes()
pages = mmap.mmap(-1, -(-len(content) // mmap.PAGESIZE) * mmap.PAGESIZE)
pages.write(content)
address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
source = f"subfile,,start,{address},end,{address + len(content)},,:/proc/{os.getpid()}/mem"


def audio(name):
    """Decode the audio to exactly LENGTH_S, and return exit code, error output, seconds in all, and seconds that are not silent."""
    exact = ("-af", f"apad,atrim=end={LENGTH_S}", "-ac", "1", "-ar", "48000", "-c:a", "pcm_s16le")
    command = [FFMPEG, "-nostdin", "-hide_banner", "-loglevel", "error", "-i", source, "-map", "0:a", *exact, name]
    ran = subprocess.run(command, capture_output=True, text=True)
    with wave.open(name) as file:
        rate, samples = file.getframerate(), file.readframes(file.getnframes())
    seconds = [samples[at : at + 2 * rate] for at in range(0, len(samples), 2 * rate)]
    return ran.returncode, ran.stderr, len(samples) / 2 / rate, sum(any(second) for second in seconds)


whole = audio("whole.wav")
middle = address + len(content) // 2 // mmap.PAGESIZE * mmap.PAGESIZE
assert libc.munmap(ctypes.c_void_p(middle), ctypes.c_size_t(16 * mmap.PAGESIZE)) == 0
broken = audio("broken.wav")
for name, (code, errors, length_s, audible_s) in {"readable": whole, "bad block": broken}.items():
    print(f"{name}: exit code {code}, {length_s:g} s of audio, not silent in {audible_s} of {LENGTH_S} seconds")
    print("  ", "; ".join(errors.splitlines()) or "no error output")
as_seen = whole[0] == broken[0] == 0 and whole[2] == broken[2] == LENGTH_S and broken[3] < whole[3] == LENGTH_S
os._exit(0 if as_seen and "Input/output error" in broken[1] else 1)  # an ordinary exit would free the missing pages
PYTHON
