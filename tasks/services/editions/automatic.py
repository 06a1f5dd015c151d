"""Automatic captions: what the containers have transcribed becomes a track like those that people add.

A container may not write rows of captions: it leaves its transcript in the job. The site checks it as it does any
caption file, in the step that begins the edition which offers it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...conf import bridge_settings
from ...models import CaptionPurpose, Captions, Job, Video
from ...transcode.caption_files.faults import CaptionFileError
from ...transcode.caption_files.read import read_caption_file
from ...transcode.languages import language_of
from ...transcode.plan.speech import same_language
from ..state.transition import append_event

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_FALLBACK_LANGUAGE = "und"
"""BCP 47's tag for a language that is not known."""


def adopt_transcript(video: Video, job: Job) -> None:
    """Make the transcript of the job that the locked video shows a track of its own, and drop those of other files.

    There is none for a language in which a person added or edited captions, and none for a file that has had one:
    what a person made of that, or removed, stays.
    """
    stale = Captions.objects.filter(video=video).exclude(transcribed_source__in=["", job.source_name])
    for language in stale.values_list("language", flat=True):
        append_event("captions.remove", video_id=video.pk, text=language)
    stale.delete()
    if job.transcript is None:
        return
    if video.transcribed_source != job.source_name:
        _add(video, job, job.transcript)
        Video.objects.filter(pk=video.pk).update(transcribed_source=job.source_name)
    Job.objects.filter(pk=job.pk).update(transcript=None)


def _add(video: Video, job: Job, transcript: Mapping[str, Any]) -> None:
    language = language_of(str(transcript.get("language", "")))
    tag = language.tag or _FALLBACK_LANGUAGE
    tracks = list(Captions.objects.filter(video=video).values_list("language", "purpose"))
    is_taken = any(same_language(each, tag) for each, purpose in tracks if purpose != CaptionPurpose.FORCED)
    if is_taken or len(tracks) >= bridge_settings().captions_per_video:
        return
    try:
        file = read_caption_file(str(transcript.get("webvtt", "")).encode(), language=tag)
    except CaptionFileError as error:
        logger.warning("TRANSCRIPT_REFUSED %s: %s: %s", job.pk, error.code, error)
        return
    Captions.objects.create(
        video=video,
        language=tag,
        purpose=CaptionPurpose.SUBTITLES,
        name=language.name or "Captions",
        webvtt=file.webvtt,
        cues=file.cues,
        end_ms=file.end_ms,
        file_format=file.format,
        encoding=file.encoding,
        encoding_is_certain=True,
        transcribed_source=job.source_name,
        edit=video.newest_edit,
    )
    append_event("captions.automatic", job=job, text=tag)
