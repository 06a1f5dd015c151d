"""Engines of speech for tests: a scripted one, and real ones from a folder into which their package was installed."""

from __future__ import annotations

import array
import ctypes
import json
import os
import signal
import socket
import sys
import wave
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.transcode.speech.port import SpokenText, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPTED = f"{__name__}.scripted"
_LOUD = 1000


def scripted(  # noqa: C901 - a list of faults
    audio: Path, *, weights: str, language: str, threads: int, progress: Callable[[float], None]
) -> Transcript:
    """Return a word for each second with a tone, with its number; or do what the script in `weights` asks for."""
    script = json.loads(Path(weights).read_text()) if weights else {}
    assert threads >= 1
    match script.get("do"):
        case "fail":
            message = "the model is not for this engine"
            raise ValueError(message)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            signal.pause()
        case "compute":
            while True:
                pass
        case "swallow":
            ctypes.create_string_buffer(64 * 1024**3)
        case "call out":
            socket.socket()
        case "print":
            os.write(1, b"whisper_init: loading\n")
        case "nonsense":
            return Transcript("en", (("a", "b"),))  # type: ignore[arg-type] # as a faulty engine does
    with wave.open(str(audio)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        samples = array.array("h", file.readframes(file.getnframes()))
    texts = []
    for second in range(len(samples) // 16_000):
        progress(second)
        loud = sum(abs(each) for each in samples[second * 16_000 + 4_000 : second * 16_000 + 12_000]) / 8_000 > _LOUD
        if loud:
            texts.append(SpokenText(second, second + 1, f"{script.get('word', 'word')} {second}"))
    return Transcript(language or script.get("language", "en"), tuple(texts))


def whisper(audio: Path, *, weights: str, language: str, threads: int, progress: Callable[[float], None]) -> Transcript:
    """Run the engine of the product from `weights`, a folder with its package and a ggml file."""
    sys.path.insert(0, weights)
    from tasks.transcode.speech.whisper import transcribe  # noqa: PLC0415 - after its package was found

    model = str(Path(weights) / "weights.bin")
    return transcribe(audio, weights=model, language=language, threads=threads, progress=progress)


def sphinx(audio: Path, *, weights: str, language: str, threads: int, progress: Callable[[float], None]) -> Transcript:
    """Recognise English with PocketSphinx, whose package in the folder `weights` has a model."""
    assert language in ("", "en")
    assert threads
    sys.path.insert(0, weights)
    from pocketsphinx import Decoder  # noqa: PLC0415 - likewise

    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    with wave.open(str(audio)) as file:
        content = file.readframes(file.getnframes())
    decoder.start_utt()
    decoder.process_raw(content, full_utt=True)
    decoder.end_utt()
    progress(len(content) / 32_000)
    words = [each for each in decoder.seg() if not each.word.startswith(("<", "["))]
    spoken = [SpokenText(each.start_frame / 100, each.end_frame / 100, each.word.split("(")[0]) for each in words]
    return Transcript("en", tuple(spoken))
