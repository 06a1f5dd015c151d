"""The child that runs an engine.

Run under limits as `python -m tasks.transcode.speech.child AUDIO JSON`; writes a line of JSON for each step of
progress, and one with the transcript, to standard output.
"""

from __future__ import annotations

import array
import json
import os
import sys
import wave
from pathlib import Path

from .port import Transcript, load

_SILENT = 100
"""Samples of 16 bits that are all below it are silence: -50 dB of full scale. Whisper invents text for silence."""


def main() -> None:
    """Transcribe the file, and write the result."""
    # Libraries may print to standard output, which is ours alone: theirs goes to standard error.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    audio, asked = Path(sys.argv[1]), json.loads(sys.argv[2])

    def write(line: object) -> None:
        output.write(json.dumps(line, ensure_ascii=False) + "\n")
        output.flush()

    if _is_silent(audio):
        found = Transcript(asked["language"], ())
    else:
        found = load(asked["path"])(
            audio,
            weights=asked["weights"],
            language=asked["language"],
            threads=asked["threads"],
            progress=lambda done_s: write({"done_s": done_s}),
        )
    write({"language": found.language, "texts": found.texts})


def _is_silent(audio: Path) -> bool:
    with wave.open(str(audio)) as file:
        while block := file.readframes(65536):
            samples = array.array("h", block)
            if max(samples) >= _SILENT or min(samples) <= -_SILENT:
                return False
    return True


if __name__ == "__main__":
    main()
