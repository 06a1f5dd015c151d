"""A job whose units finish one by one, with the rows that real containers would write, and without encoding."""

from __future__ import annotations

import dataclasses
import posixpath
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tasks.lifecycle.states import UnitKind
from tasks.models import Job, Video
from tasks.services.container_api.finish import PlannedUnit, finish_plan, finish_unit
from tasks.services.container_api.publish import begin_own_edition, publish
from tasks.services.requests.request import request_again
from tasks.transcode import PROFILES, Plan, UnitKey, audio_unit, build_publication, make_edition, make_plan
from tasks.transcode.captions import CaptionTrack, Cue
from tests.factories import claimed, leased, submitted_attempt, uploaded_video
from tests.unit.transcode.outputs import made_outputs
from tests.unit.transcode.sources import make_audio, make_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.services.container_api.claim import Claim, Lease
    from tasks.transcode import MediaFile, Publication, UnitOutput
    from tasks.transcode.cli.local_run import LocalRun

PROFILE = dataclasses.replace(PROFILES["fast"], unit_segments=2, audio_head_s=12)
"""Segments of 6 s in units of 12 s; the first audio unit ends after 12 s."""

UNITS: tuple[UnitKey, ...] = ("audio", 0, "audio-1", 1, 2, 3, 4)


def example_plan() -> Plan:
    """Return the plan of a video of a minute: five video units and two audio units."""
    return make_plan(make_source(frames=1800, audio=make_audio(1, 61)), PROFILE, threads=1)


class GrowingJob:
    """A video whose job has a plan, and one container that holds all of its units."""

    def __init__(
        self,
        run: LocalRun | None = None,
        *,
        plays_directly: bool = False,
        captions: bool = False,
        video: Video | None = None,
        of: Video | None = None,
    ) -> None:
        """With `run`, a finished run of the engine, units have its files; otherwise nothing can decode them.

        With `video`, a published one is encoded again; with `of`, it is the job that was requested for it already.
        """
        if video is not None:
            request_again(video_id=video.pk)
        self.video: Video = video or of or uploaded_video()
        self.claim: Claim = claimed(submitted_attempt(self.video))
        self.run = run
        self.plan = run.plan if run else example_plan()
        if captions:
            track = CaptionTrack("en", "English", (Cue(0, 900, "Hello"),))
            self.plan = dataclasses.replace(self.plan, captions=(track,))
        self.outputs: dict[UnitKey, UnitOutput] = (
            {unit: output for unit in run.units() if (output := run.finished(unit))} if run else made_outputs(self.plan)
        )
        self.leases: dict[UnitKey, Lease] = {}
        self.make_plan(plays_directly=plays_directly)

    def make_plan(self, *, plays_directly: bool = False) -> None:
        """Finish the plan, and lease all of its units."""
        units = [
            PlannedUnit(
                kind=kind,
                index=unit.index,
                first_frame=unit.first_frame,
                end_frame=unit.end_frame,
                weight_frames=unit.end_frame - unit.first_frame,
            )
            for kind, units in ((UnitKind.VIDEO, self.plan.video_units), (UnitKind.AUDIO, self.plan.audio_units))
            for unit in units
        ]
        finish_plan(
            self.claim,
            leased(self.claim),
            plan=self.plan.to_json(),
            units=units,
            plays_directly=plays_directly,
            encode_cost_s=100,
            duration_s=self.plan.duration_s,
        )
        for _ in units:
            self.lease()

    @property
    def job(self) -> Job:
        return Job.objects.get(pk=self.claim.job_id)

    def lease(self) -> UnitKey:
        """Lease the next unit, and return its key."""
        lease = leased(self.claim)
        key = lease.index if lease.kind is UnitKind.VIDEO else audio_unit(lease.index)
        self.leases[key] = lease
        return key

    def finish(self, *keys: UnitKey) -> None:
        """Store the files of units, and finish the units."""
        for key in keys:
            lease, output = self.leases[key], self.outputs[key]
            for file in output.files:
                content = (self.run.unit_folder(key) / file.name).read_bytes() if self.run else b"media"
                default_storage.save(f"{lease.key_prefix}/{file.name}", ContentFile(content))
            made = {"folder": posixpath.basename(lease.key_prefix), "media": output.to_json()}
            finish_unit(self.claim, lease, output=made)

    def lease_publish(self) -> Lease:
        """Lease the publish unit: all others are finished."""
        lease = leased(self.claim)
        assert lease.kind is UnitKind.PUBLISH
        return lease

    def publish(
        self,
        *,
        with_edition: bool = False,
        transcript: dict[str, Any] | None = None,
        before_publishing: Callable[[], object] = lambda: None,
    ) -> Lease:
        """Publish the job, all of whose units are finished, as its container does; return the lease.

        `before_publishing` is called when everything is stored.
        """
        lease = self.lease_publish()

        def url_of(key: UnitKey, file: MediaFile) -> str:
            return f"../{posixpath.basename(self.leases[key].key_prefix)}/{file.name}"

        publication = build_publication(self.plan, self.outputs, url_of=url_of)
        _store(lease.key_prefix, publication)
        edition = begin_own_edition(self.claim, lease) if with_edition else None
        if edition and edition.folder:
            texts = {file.name: file.content for file in publication.files}
            _store(edition.folder, make_edition(publication.manifest, texts.__getitem__, edition.edits))
        before_publishing()
        master = f"{lease.key_prefix}/master.m3u8"
        publish(
            self.claim,
            lease,
            playlist_key=master,
            poster_key="",
            duration_s=self.plan.duration_s,
            chapters=publication.manifest["chapters"],
            transcript=transcript,
            edition=edition,
        )
        return lease

    def url(self, name: str = "master.m3u8", *, plan_fence: int = 1) -> str:
        """Return the URL of a growing playlist."""
        return f"/media/published/{self.video.pk}/{self.claim.job_id}/growing-f{plan_fence}/{name}"


def _store(folder: str, publication: Publication) -> None:
    for file in publication.files:
        default_storage.save(f"{folder}/{file.name}", ContentFile(file.content))
