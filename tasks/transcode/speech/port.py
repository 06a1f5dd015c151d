"""The port of speech recognition: what an engine is given, and what it returns.

An engine is one function, named by its dotted path. It runs in a child process without network, with access to
the audio, the weights and Python's packages only, so it may crash, hang or use too much without any other effect.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .faults import NO_ENGINE, NO_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE_RATE_HZ = 16_000
"""Of the audio that engines get: what Whisper's models were trained with, and what most engines expect."""

WHISPER = f"{__package__}.whisper.transcribe"
"""The engine that is used unless a site names another one."""


class SpokenText(NamedTuple):
    """A text and when it is spoken, in seconds from the beginning of the audio."""

    start_s: float
    end_s: float
    text: str


class Transcript(NamedTuple):
    """What an engine found in the audio; no texts if nothing is spoken."""

    language: str
    """BCP 47 tag of the language, found or given; empty if unknown."""
    texts: tuple[SpokenText, ...]


class Transcribe(Protocol):
    """An engine."""

    def __call__(
        self, audio: Path, *, weights: str, language: str, threads: int, progress: Callable[[float], None]
    ) -> Transcript:
        """Return what is spoken in `audio`, a WAV file: one channel, 16 bits, SAMPLE_RATE_HZ.

        `weights` is the path that the site has set; empty without one. `language` is a BCP 47 tag, or empty to find
        it out. `threads` is how many threads it may compute with. `progress` takes the seconds of audio that are
        done. Any error that is raised ends the automatic captions of this video, and nothing else.
        """


class Engine(NamedTuple):
    """Which engine a site uses."""

    path: str = WHISPER
    """Dotted path of the function."""
    weights: str = ""
    """Path of its weights."""


class EngineProblem(NamedTuple):
    """Why an engine cannot be used here: a stable code, what is missing, and the way out."""

    code: str
    text: str
    fix: str


def engine_problem(engine: Engine) -> EngineProblem | None:
    """Return why this machine cannot transcribe with the engine, or None if it can. Nothing is loaded."""
    module = engine.path.rpartition(".")[0]
    package = "pywhispercpp" if engine.path == WHISPER else module
    if not _is_installed(package) or not _is_installed(module):
        return EngineProblem(
            NO_ENGINE,
            f"{package} is not installed on this machine.",
            "Build the image with the extra `speech`: docs/how-to/automatic-captions.md.",
        )
    if engine.path == WHISPER or engine.weights:
        if not engine.weights:
            return EngineProblem(
                NO_WEIGHTS,
                "No weights are set.",
                "Set SPEECH_WEIGHTS to the path of a ggml file in the image: docs/how-to/automatic-captions.md.",
            )
        if not Path(engine.weights).exists():
            return EngineProblem(
                NO_WEIGHTS,
                f"There are no weights at {engine.weights}.",
                "Build the image with the weights, and set SPEECH_WEIGHTS to their path in it.",
            )
    return None


def load(path: str) -> Transcribe:
    """Return the engine with this dotted path. Raises ImportError or AttributeError."""
    module, _, name = path.rpartition(".")
    engine: Transcribe = getattr(import_module(module), name)
    return engine


def folders(path: str) -> list[Path]:
    """Return the folders with the code of an engine, which its child may read next to Python's packages."""
    spec = find_spec(path.rpartition(".")[0])
    return [Path(spec.origin).parent] if spec is not None and spec.origin else []


def _is_installed(module: str) -> bool:
    try:
        return bool(module) and find_spec(module) is not None
    except (ImportError, ValueError):
        return False
