"""One unit of speech: ffmpeg extracts its audio, and an engine in a child process transcribes it."""

from __future__ import annotations

import array
import json
import math
import signal
import sys
import tempfile
import threading
import wave
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EncodeError
from ..probe.probe import CHILD_ENVIRONMENT, child_paths
from ..sandbox.limits import ChildLimits
from ..sandbox.process import CRASHES, run_child
from ..sandbox.read_guard import HOLE_READ, READS_UNWATCHED
from .audio import SpeechAudio
from .faults import ANSWER, AUDIO, CRASHED, FAILED, HUNG, OUT_OF_MEMORY, TOO_SLOW, SpeechError
from .port import SAMPLE_RATE_HZ, folders

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..byte_ranges import ByteRanges
    from ..plan.plan import Plan
    from ..sandbox.process import ChildResult
    from .port import Engine

_NOT_OURS = frozenset({HOLE_READ, READS_UNWATCHED, "DISK_FULL", "DISK_FAILED"})
"""Codes of errors that are the machine's, or that another read of the source avoids: the unit is done again."""

_BEFORE_S, _AFTER_S = 5, 10
"""Seconds of audio around a part, so that no word at its border is cut."""

_PATIENCE, _LOADING_S = 4, 300
"""Times the estimated CPU time that an engine may use, and seconds more to load its weights."""

_MEMORY_BYTES = 4 * 1024**3
"""Address space in addition to twice the weights: Whisper's largest model computes in 2 GB (whisper.cpp, README)."""

_MAX_OUTPUT_BYTES = 4_000_000
"""Of the answer for one part: a hundred times fast speech."""

_LONGEST_TAG = 35

_ENVIRONMENT = {**CHILD_ENVIRONMENT, "HOME": "/nonexistent", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""pywhispercpp cannot be imported without a home folder, which need not exist. NumPy only converts samples; the engine
has its own number of threads.
"""


def transcribe_part(
    path: Path,
    plan: Plan,
    index: int,
    folder: Path,
    *,
    engine: Engine,
    stop: threading.Event,
    reading: Callable[[int], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
    present: ByteRanges | None = None,
) -> dict[str, Any]:
    """Return the `language` and the `texts` of a part: rows of start, end (ms on the output's clock) and text.

    `folder` is for files of this call. `progress` takes the milliseconds of the part that are done, `reading` a
    number that changes as long as the engine lives. `present` are the byte ranges that the file has, or None for all
    of it. Raises SpeechError, StoppedError, or EncodeError for what is the machine's fault or needs the whole file.
    """
    if plan.speech is None or plan.audio is None:
        raise EncodeError(code="NO_SPEECH", message="The plan has no speech to transcribe.")
    end_s = Fraction(plan.frames) / plan.rate
    start_s, stop_s = (frame / plan.rate for frame in plan.speech.part(index, frames=plan.frames))
    audio = SpeechAudio(
        plan=plan,
        audio=plan.audio,
        track=plan.audio.tracks[plan.speech.track],
        from_s=max(Fraction(0), start_s - _BEFORE_S),
        to_s=min(end_s, stop_s + _AFTER_S),
        stop=stop,
        reading=reading,
    )
    file = folder / "speech.wav"
    try:
        audio.extract(path, file, present=present)
    except SpeechError:
        raise
    except EncodeError as error:
        if error.code in _NOT_OURS:
            raise
        raise SpeechError(AUDIO, f"The audio cannot be decoded: {error}") from error
    answer = _run(
        file,
        {"path": engine.path, "weights": engine.weights, "language": plan.speech.language, "threads": plan.threads},
        cpu_s=_LOADING_S + math.ceil(_PATIENCE * plan.speech.cost_s * (stop_s - start_s) / end_s),
        stop=stop,
        reading=reading,
        progress=lambda done_s: progress(round(1000 * done_s)),
    )
    first_s = float(audio.from_s)
    try:
        texts = [(first_s + float(from_s), first_s + float(to_s), str(text)) for from_s, to_s, text in answer["texts"]]
        language = str(answer["language"])[:_LONGEST_TAG]
    except (KeyError, TypeError, ValueError) as error:
        raise SpeechError(ANSWER, f"The engine's answer is of no use: {error!r}") from error
    # What is at a border is in both parts, and belongs to the one in which its middle is.
    kept = [row for row in texts if start_s <= (row[0] + row[1]) / 2 < stop_s and row[1] > row[0] and row[2].strip()]
    return {"language": language, "texts": [[round(1000 * a), round(1000 * b), text.strip()] for a, b, text in kept]}


def try_engine(engine: Engine, *, threads: int) -> None:
    """Let the engine load its weights, and transcribe a second of a tone as in a unit. Raises SpeechError."""
    with tempfile.TemporaryDirectory(prefix="batchreel-") as folder:
        audio = Path(folder) / "tone.wav"
        with wave.open(str(audio), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE_HZ)
            tone = (round(8000 * math.sin(number / 10)) for number in range(SAMPLE_RATE_HZ))
            file.writeframes(array.array("h", tone).tobytes())
        asked = {"path": engine.path, "weights": engine.weights, "language": "", "threads": threads}
        never = threading.Event()
        _run(audio, asked, cpu_s=_LOADING_S, stop=never, reading=lambda _: None, progress=lambda _: None)


def _run(
    audio: Path,
    asked: dict[str, Any],
    *,
    cpu_s: int,
    stop: threading.Event,
    reading: Callable[[int], None],
    progress: Callable[[float], None],
) -> dict[str, Any]:
    """Run the engine in a child process, and return its answer. Raises SpeechError or StoppedError."""
    lines = _Lines(progress)
    looks = 0

    def alive(_: int) -> None:
        # An engine may compute for minutes without a word. One that sleeps is ended, and so is one that computes
        # for too long; so one that runs makes progress.
        nonlocal looks
        looks += 1
        reading(looks)

    weights = Path(asked["weights"]) if asked["weights"] else None
    paths = child_paths(audio)
    if weights is not None:
        # A model may also be a folder, or several files.
        paths["run" if weights.is_dir() else "read"] += [weights]
    paths["run"] += folders(str(asked["path"]))
    try:
        end = run_child(
            [sys.executable, "-m", f"{__package__}.child", str(audio.absolute()), json.dumps(asked)],
            limits=ChildLimits(memory_bytes=_MEMORY_BYTES + 2 * _bytes_of(weights), cpu_s=cpu_s, file_bytes=0),
            on_output=lines.take,
            on_wait=alive,
            stop=stop,
            environment=_ENVIRONMENT,
            paths=paths,
        )
    except EncodeError as error:
        if isinstance(error, SpeechError):
            raise
        raise SpeechError(HUNG, f"The engine does nothing any more: {error.message}") from error
    if end.returncode != 0:
        raise _failure(end)
    if lines.answer is None:
        raise SpeechError(ANSWER, "The engine ended without an answer.")
    return lines.answer


def _bytes_of(weights: Path | None) -> int:
    """Return the size of the weights: one file, or a folder of them."""
    if weights is None:
        return 0
    files = [weights] if weights.is_file() else weights.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def _failure(end: ChildResult) -> SpeechError:
    last = end.stderr.splitlines()[-1][:300] if end.stderr else "no error output"
    if end.returncode == -signal.SIGXCPU:
        return SpeechError(TOO_SLOW, f"The engine took {_PATIENCE} times as long as speech_cpu_s_per_s allows for.")
    if end.returncode == -signal.SIGKILL or "MemoryError" in end.stderr or "bad_alloc" in end.stderr:
        return SpeechError(OUT_OF_MEMORY, f"The engine was out of memory ({last}).")
    if end.returncode in CRASHES:
        return SpeechError(CRASHED, f"The engine crashed with signal {-end.returncode} ({last}).")
    return SpeechError(FAILED, f"The engine failed with exit code {end.returncode} ({last}).")


class _Lines:
    """What the child writes: lines of progress, then the answer."""

    def __init__(self, progress: Callable[[float], None]) -> None:
        self.answer: dict[str, Any] | None = None
        self._progress, self._remainder, self._bytes = progress, b"", 0

    def take(self, block: bytes) -> None:
        self._bytes += len(block)
        if self._bytes > _MAX_OUTPUT_BYTES:
            raise SpeechError(ANSWER, f"The engine wrote more than {_MAX_OUTPUT_BYTES} bytes.")
        *whole, self._remainder = (self._remainder + block).split(b"\n")
        for line in whole:
            try:
                read = json.loads(line)
                if "done_s" in read:
                    self._progress(float(read["done_s"]))
                else:
                    self.answer = dict(read)
            except (TypeError, ValueError) as error:
                raise SpeechError(ANSWER, f"The engine's answer is of no use: {error}") from error
