"""The engine whisper.cpp, by the package pywhispercpp: Whisper's models on the processor, from one ggml file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .port import SpokenText, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TICKS_PER_S = 100
"""whisper.cpp counts in centiseconds."""


def transcribe(
    audio: Path, *, weights: str, language: str, threads: int, progress: Callable[[float], None]
) -> Transcript:
    """Return what is spoken; see `port.Transcribe`.

    Weights whose name ends in `.en` know English only (whisper.cpp, models/README.md).
    """
    import _pywhispercpp as library  # noqa: PLC0415 - only in images with the extra `speech`
    from pywhispercpp.model import Model  # noqa: PLC0415 - likewise

    model = Model(weights, n_threads=threads, print_progress=False, redirect_whispercpp_logs_to=False)
    context = model._ctx  # noqa: SLF001 - the package has no other way to ask for the language that was found
    known = model.available_languages()
    # Whisper names languages by ISO 639-1: en, not en-US.
    wanted = language.partition("-")[0].lower()
    if not library.whisper_is_multilingual(context):
        wanted = "en"
    segments = model.transcribe(
        str(audio),
        language=wanted if wanted in known else "auto",
        # Neither [MUSIC] nor other marks; and no text from the part before, which makes mistakes repeat.
        suppress_nst=True,
        no_context=True,
        new_segment_callback=lambda segment: progress(segment.t1 / _TICKS_PER_S),
    )
    found = str(library.whisper_lang_str(library.whisper_full_lang_id(context)))
    texts = tuple(SpokenText(each.t0 / _TICKS_PER_S, each.t1 / _TICKS_PER_S, each.text) for each in segments)
    return Transcript(language if language and wanted == found else found, texts)
