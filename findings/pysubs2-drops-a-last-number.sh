#!/bin/sh
# pysubs2 drops the last line of a SubRip file if it is a number, and shows times that it cannot read.
#
# Versions: pysubs2 1.8.1.
# Expected: a cue "The answer is / 42" at the end of a file keeps both lines, and a line with an arrow and one time is an error,
#           or at least reported.
# Seen:     the 42 is taken for the number of a next cue and is gone; in the middle of the file it stays. A cue with one
#           time becomes text of the one before it, or is gone if it is the first. Nothing is raised or logged.
# So:       end the text with a number of its own, and check the lines with times before.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysubs2==1.8.1
"$folder/venv/bin/python" - <<'PYTHON'
from pysubs2 import SSAFile

CUE = "{}\n00:00:0{},000 --> {}\nThe answer is\n42\n"


def texts(*ends):
    file = "\n".join(CUE.format(n, n, end) for n, end in enumerate(ends, start=1))
    return [event.plaintext.replace("\n", " / ") for event in SSAFile.from_string(file, format_="srt")]


files = {"two cues": ("00:00:01,500", "00:00:02,500"), "first one has no end": ("soon", "00:00:02,500")}
seen = {name: texts(*ends) for name, ends in files.items()}
for name, found in seen.items():
    print(f"{name}: {found}")
raise SystemExit(seen != {"two cues": ["The answer is / 42", "The answer is"], "first one has no end": ["The answer is"]})
PYTHON
