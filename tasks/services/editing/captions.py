"""Captions that people add to a video, next to those of its file.

A change is counted in the transaction that makes it (`newest_edit`); the edit tick then makes an edition of the
publication that offers it, and a later encode of the video offers it from the beginning.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from ...conf import bridge_settings
from ...lifecycle.errors import ConflictError, NotFoundError, UnusableInputError
from ...models import CaptionPurpose, Captions, Video
from ...transcode.caption_files import faults
from ...transcode.caption_files.faults import CaptionFileError
from ...transcode.caption_files.read import MAX_CUE_CHARS, MAX_CUES, MAX_FILE_BYTES, CaptionFile, read_caption_file
from ...transcode.captions import MPEGTS_MAP
from ...transcode.languages import Language, language_of, unique_name
from ..editions.rows import record_edit
from ..state.locking import lock_video
from ..state.transition import append_event

_FALLBACK_NAME = "Captions"


class TooManyCaptionsError(ConflictError):
    """The video has `captions_per_video` tracks that people added."""

    code = "TOO_MANY_CAPTIONS"


class CaptionsExistError(ConflictError):
    """The video has another track with this language and purpose."""

    code = "CAPTIONS_EXIST"


class CaptionsChangedError(ConflictError):
    """Another person changed the track while one edited it."""

    code = "CAPTIONS_CHANGED"


def add_captions(
    *, video_id: uuid.UUID, content: bytes, language: str, purpose: CaptionPurpose, name: str = ""
) -> Captions:
    """Add a caption file to a video, in place of one that was added before for the language and purpose.

    `language` is a BCP 47 tag or a code of ISO 639-2; without a name, the track has that of its language.
    Raises NotFoundError, UnusableInputError or TooManyCaptionsError; nothing was changed then.
    """
    spoken = known_language(language)
    file = readable(content, language=spoken.tag)
    with transaction.atomic():
        video = _locked(video_id)
        same = Captions.objects.filter(video=video, language=spoken.tag, purpose=purpose).first()
        limit = bridge_settings().captions_per_video
        if same is None and Captions.objects.filter(video=video).count() >= limit:
            text = gettext("A video can have {limit} caption tracks. Remove one first.")
            raise TooManyCaptionsError(text.format(limit=limit))
        values = {**_values_of(file), "name": _name(name, spoken), "edit": record_edit(video)}
        captions, _ = Captions.objects.update_or_create(
            video=video, language=spoken.tag, purpose=purpose, defaults=values
        )
        append_event("captions.replace" if same else "captions.add", video_id=video_id, text=str(captions.language))
    return captions


@transaction.atomic
def change_captions(
    *,
    video_id: uuid.UUID,
    captions_id: uuid.UUID,
    language: str | None = None,
    purpose: CaptionPurpose | None = None,
    name: str | None = None,
) -> Captions:
    """Change language, purpose or name of a track that was added. What is None stays.

    Raises NotFoundError, UnusableInputError, or CaptionsExistError if another track has that language and purpose.
    """
    video = _locked(video_id)
    captions = _captions_of(video, captions_id)
    spoken = known_language(captions.language if language is None else language)
    before = (captions.language, captions.purpose, captions.name)
    captions.language = spoken.tag
    captions.purpose = captions.purpose if purpose is None else purpose
    captions.name = captions.name if name is None else _name(name, spoken)
    if (captions.language, captions.purpose, captions.name) == before:
        return captions
    others = Captions.objects.filter(video=video, language=captions.language, purpose=captions.purpose)
    if others.exclude(pk=captions.pk).exists():
        raise CaptionsExistError(gettext("There are other captions with this language and purpose."))
    captions.edit = record_edit(video)
    captions.save(update_fields=["language", "purpose", "name", "edit"])
    append_event("captions.change", video_id=video_id, text=captions.language)
    return captions


def edit_text(*, video_id: uuid.UUID, captions_id: uuid.UUID, text: str, seen_edit: int | None = None) -> Captions:
    """Replace the text of a track, which a person has edited as WebVTT; it is no longer automatic then.

    `seen_edit` is the track's `edit` when the person began. Raises NotFoundError, UnusableInputError with the line
    that is at fault, or CaptionsChangedError if the track was changed meanwhile; nothing was changed then.
    """
    with transaction.atomic():
        video = _locked(video_id)
        captions = _captions_of(video, captions_id)
        if seen_edit is not None and captions.edit != seen_edit:
            raise CaptionsChangedError(
                gettext(
                    "The captions were changed while you edited them. Open them in another window, and copy what you"
                    " need into the text below; saving again replaces them."
                )
            )
        file = _readable_text(text, language=captions.language)
        if file.webvtt == captions.webvtt and not captions.is_automatic:
            return captions
        for name, value in _values_of(file).items():
            setattr(captions, name, value)
        captions.edit = record_edit(video)
        captions.save()
        append_event("captions.edit", video_id=video_id, text=captions.language)
    return captions


def editable_text(captions: Captions) -> str:
    """Return the text of a track as a person edits it: WebVTT, without what only players need."""
    lines = [line for line in captions.webvtt.split("\n") if line != MPEGTS_MAP]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


@transaction.atomic
def remove_captions(*, video_id: uuid.UUID, captions_id: uuid.UUID) -> None:
    """Remove a track that was added. One of the file that it replaced is offered again. Raises NotFoundError."""
    video = _locked(video_id)
    captions = _captions_of(video, captions_id)
    record_edit(video)
    captions.delete()
    append_event("captions.remove", video_id=video_id, text=captions.language)


@transaction.atomic
def keep_own_captions(*, video_id: uuid.UUID, keep: bool) -> None:
    """Offer the captions of the file, or none of them. Raises NotFoundError."""
    video = _locked(video_id)
    if video.keeps_own_captions != keep:
        record_edit(video)
        Video.objects.filter(pk=video_id).update(keeps_own_captions=keep)
        append_event("captions.own", video_id=video_id, text="shown" if keep else "hidden")


def known_language(entered: str) -> Language:
    """Return the language. Raises UnusableInputError if its tag is unknown."""
    language = language_of(entered) if len(entered) <= _longest_tag() else Language("", "")
    if not language.tag or not language.name:
        text = gettext("“{language}” is not a language that is known here. Enter a tag such as en, de or pt-BR.")
        raise UnusableInputError(text.format(language=entered[:40]), code="LANGUAGE_UNKNOWN")
    return language


def readable(content: bytes, *, language: str) -> CaptionFile:
    """Return the file as WebVTT. Raises UnusableInputError with the line that is at fault."""
    try:
        return read_caption_file(content, language=language)
    except CaptionFileError as error:
        raise UnusableInputError(_message(error), code=error.code) from error


def _readable_text(text: str, *, language: str) -> CaptionFile:
    """Return the text that was entered, as `readable` does."""
    entered = {
        faults.EMPTY: gettext("There are no captions in the text. To have none, remove them."),
        faults.UNKNOWN_FORMAT: gettext("The text is not WebVTT: it needs a line with times above each text."),
        faults.TIME: gettext(
            "Line {line}: “{value}” has no times that can be read. Write them like 00:01:05.000 --> 00:01:08.500"
        ),
        faults.ORDER: gettext("Line {line}: it ends before it begins. Correct the times."),
        faults.TOO_MANY: gettext("There are {value} texts. The limit is {cues}."),
        faults.TOO_LARGE: gettext("The text is larger than {kb} KB."),
    }
    try:
        return read_caption_file(text.replace("\0", "").encode(errors="replace"), language=language)
    except CaptionFileError as error:
        raise UnusableInputError(_message(error, entered.get(error.code)), code=error.code) from error


def _message(error: CaptionFileError, text: str | None = None) -> str:
    texts = {
        faults.EMPTY: gettext("The file contains no captions."),
        faults.UNKNOWN_FORMAT: gettext(
            "The file is not in a format for captions. Upload SubRip (.srt), SubStation Alpha (.ass) or WebVTT (.vtt)."
        ),
        faults.TIME: gettext(
            "Line {line}: “{value}” has no times that can be read. Correct them, and upload it again."
        ),
        faults.ORDER: gettext("Line {line}: it ends before it begins. Correct the times, and upload it again."),
        faults.TOO_LONG: gettext("Line {line}: the text is longer than {chars} characters. Divide it."),
        faults.TOO_MANY: gettext("The file has {value} texts. The limit is {cues}."),
        faults.TOO_LARGE: gettext("The file is larger than {kb} KB. Upload the captions without fonts or images."),
        faults.ENCODING: gettext(
            "Line {line}: the file is neither UTF-8 nor {value}. Is the language right? If so, save it as UTF-8."
        ),
        faults.STYLES: gettext("The styles of the file cannot be read: {value}. Save it as SubRip or WebVTT."),
    }
    return (text or texts[error.code]).format(
        line=error.line, value=error.value, chars=MAX_CUE_CHARS, cues=MAX_CUES, kb=MAX_FILE_BYTES // 1000
    )


def _values_of(file: CaptionFile) -> dict[str, Any]:
    return {
        "webvtt": file.webvtt,
        "cues": file.cues,
        "end_ms": file.end_ms,
        "file_format": file.format,
        "encoding": file.encoding,
        "encoding_is_certain": file.encoding_is_certain,
        "transcribed_source": "",
    }


def _name(entered: str, language: Language) -> str:
    return unique_name(entered or language.name, taken=(), otherwise=_FALLBACK_NAME)


def _longest_tag() -> int:
    return int(Captions._meta.get_field("language").max_length or 0)  # noqa: SLF001 - Django's documented API


def _captions_of(video: Video, captions_id: uuid.UUID) -> Captions:
    captions = Captions.objects.filter(video=video, pk=captions_id).first()
    if captions is None:
        raise NotFoundError(gettext("These captions were removed or do not exist."))
    return captions


def _locked(video_id: uuid.UUID) -> Video:
    video = lock_video(video_id)
    if video is None:
        raise NotFoundError(gettext("The video was deleted or does not exist."))
    return video
