"""The rows of editions: what one should have, its beginning, and the step that shows it.

An edition is begun before its first object is written, and shown after its last one was read back. In
between, anything may have changed: then it is not shown, and the next tick makes another one.
"""

from __future__ import annotations

import posixpath
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from ...models import Captions, Edition, Job, Video
from ...selectors.publication import entered_chapters
from ...storage.keys import edition_folder
from ...transcode import AddedCaptions, Edits
from ...transcode.package.playlists import MASTER_NAME
from ..state.locking import lock_job, lock_video
from ..state.transition import append_event
from .automatic import adopt_transcript

EVENT = "video.edition"


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunEdition:
    """An edition that is being made of a job's publication. Without edits there is nothing to make."""

    id: uuid.UUID
    video_id: uuid.UUID
    job_id: uuid.UUID
    edits: Edits
    folder: str
    """Storage folder of its files; empty if there are no edits, because the publication itself has all then."""
    base_folder: str
    """Storage folder of the publication's own playlists; empty if the job has not published yet."""

    @property
    def playlist_key(self) -> str:
        """Storage name of its master playlist; empty if there are no edits."""
        return f"{self.folder}/{MASTER_NAME}" if self.folder else ""


@transaction.atomic
def begin_edition(*, video_id: uuid.UUID) -> BegunEdition | None:
    """Begin the edition that a published video needs. Return None if it needs none any more."""
    video = lock_video(video_id)
    if video is None or video.published_job is None or video.shown_edit == video.newest_edit:
        return None
    adopt_transcript(video, video.published_job)
    return begin_for(video, video.published_job)


def begin_for(video: Video, job: Job) -> BegunEdition:
    """Begin the edition of a job with what the locked video has now."""
    edits, edition_id = edits_of(video, job), uuid.uuid4()
    begun = BegunEdition(
        id=edition_id,
        video_id=video.pk,
        job_id=job.pk,
        edits=edits,
        folder=edition_folder(job, edit=edits.number, edition_id=edition_id) if edits else "",
        base_folder=posixpath.dirname(job.playlist_key),
    )
    if begun.folder:
        Edition.objects.bulk_create([Edition(pk=edition_id, job=job, folder=begun.folder, edit=edits.number)])
    return begun


def edits_of(video: Video, job: Job) -> Edits:
    """Return what people changed of the video, and the automatic captions of the job's file."""
    captions = tuple(
        AddedCaptions(str(each.pk), each.language, each.name, each.purpose, each.cues, each.webvtt, each.is_automatic)
        for each in Captions.objects.filter(video=video, transcribed_source__in=["", job.source_name])
    )
    return Edits(
        number=video.newest_edit,
        captions=captions,
        keeps_own_captions=video.keeps_own_captions,
        chapters=entered_chapters(video),
    )


@transaction.atomic
def show_edition(begun: BegunEdition) -> bool:
    """Let the video's pages and players use an edition, all of whose files are stored and were read back.

    Return False, without showing it, if the video was deleted, shows another job now, or shows this change or a
    newer one already: the pointer never moves back.
    """
    video = lock_video(begun.video_id)
    if video is None or video.published_job_id != begun.job_id or video.shown_edit >= begun.edits.number:
        end_edition(begun)
        return False
    job = lock_job(begun.job_id)
    point_at(job, begun)
    Job.objects.filter(pk=job.pk).update(edition_key=begun.playlist_key)
    Video.objects.filter(pk=video.pk).update(shown_edit=begun.edits.number, edition_failed_at=None)
    append_event(EVENT, job=job, text=f"change {begun.edits.number}")
    return True


def point_at(job: Job, begun: BegunEdition) -> None:
    """Start the retention period of the older editions of the locked job: they may have viewers."""
    Edition.objects.filter(job=job, ended_at=None).exclude(pk=begun.id).update(ended_at=Now())


def end_edition(begun: BegunEdition) -> None:
    """Record that an edition is not going to be shown. The purge tick removes its files."""
    Edition.objects.filter(pk=begun.id, ended_at=None).update(ended_at=Now())


def record_edit(video: Video) -> int:
    """Count a change of the locked video's captions or chapters, and return its number."""
    Video.objects.filter(pk=video.pk).update(newest_edit=F("newest_edit") + 1, edition_failed_at=None)
    video.newest_edit += 1
    return video.newest_edit
