"""`manage.py transcode`: request jobs for many videos, in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from ...lifecycle.errors import ConflictError
from ...lifecycle.states import ACTIVE_JOB_STATES, JobPriority
from ...models import Job
from ...services.requests.bulk import request_in_bulk, select_videos
from ...services.requests.profiles import ProfileUnavailableError, chosen_profile
from ...transcode import TranscodeError
from ...transcode.sandbox.ffmpeg import engine_id

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from ...models import Video
    from ...transcode import Profile

_REPORT_EACH = 1000


class Command(BaseCommand):
    """Request bulk jobs for the selected videos."""

    help = (
        "Request jobs for many videos. They are submitted after all retries and uploads, and an upload never waits for them."
        " Videos with an active job are left out, so running it again is harmless. An active job is moved to the front in the admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the selection, the limit and --dry-run."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--all", action="store_true", help="Every complete video, however it was transcoded.")
        which.add_argument(
            "--older-engine", action="store_true", help="Published videos that another engine version transcoded."
        )
        which.add_argument(
            "--profile",
            metavar="NAME",
            help="Published videos that do not have this profile as it is now; they get it.",
        )
        parser.add_argument("--owner", metavar="USERNAME", help="Only this account's videos.")
        parser.add_argument("--limit", type=int, metavar="N", help="At most N videos, the longest untouched first.")
        parser.add_argument("--dry-run", action="store_true", help="Only count the videos.")

    def handle(self, **options: Any) -> None:
        """Request the jobs. Raise CommandError for a wrong option, or if the database is unavailable."""
        try:
            profile = chosen_profile(options["profile"])
            engine = engine_id() if options["older_engine"] else None
        except (ProfileUnavailableError, TranscodeError) as error:
            raise CommandError(str(error)) from error
        if options["limit"] is not None and options["limit"] < 1:
            message = "--limit must be 1 or more."
            raise CommandError(message)
        try:
            self._run(self._selected(options, profile, engine), profile=profile.name, options=options)
        except DatabaseError as error:
            message = (
                f"Stopped: the database is unavailable ({str(error).strip().splitlines()[0]})."
                " What was requested stays; run the command again for the rest."
            )
            raise CommandError(message) from error

    def _selected(self, options: dict[str, Any], profile: Profile, engine: str | None) -> QuerySet[Video]:
        videos = select_videos(
            other_engine_than=engine,
            other_profile_than=profile if options["profile"] else None,
            owner_id=_owner_id(options["owner"]),
        )
        return videos[: options["limit"]] if options["limit"] else videos

    def _run(self, videos: QuerySet[Video], *, profile: str, options: dict[str, Any]) -> None:
        video_ids = list(videos.values_list("pk", flat=True))
        if options["dry_run"]:
            self.stdout.write(f"Would request {len(video_ids)} jobs with profile {profile}. Nothing was changed.")
            return
        requested = skipped = 0
        for number, video_id in enumerate(video_ids, start=1):
            try:
                created = request_in_bulk(video_id=video_id, profile=profile)
            except ConflictError:
                created = False
            requested += created
            skipped += not created
            if number % _REPORT_EACH == 0:
                self.stdout.write(f"{number} of {len(video_ids)} ...")
        self.stdout.write(f"Requested {requested} jobs with profile {profile}.")
        if skipped:
            self.stdout.write(f"Skipped {skipped} videos that got a job or were deleted in the meantime.")
        self._show_next()

    def _show_next(self) -> None:
        active = Job.objects.filter(priority=JobPriority.BULK, state__in=ACTIVE_JOB_STATES)
        if count := active.count():
            self.stdout.write(
                f"{count} bulk jobs are active now. The submit tick submits them while no upload needs the room;"
                " filter jobs by priority in the admin to watch them."
            )
        else:
            self.stdout.write("There is nothing to do: every selected video is done or has an active job.")


def _owner_id(username: str | None) -> Any:
    """Return the account's primary key. Raise CommandError if there is none."""
    if username is None:
        return None
    accounts = get_user_model()
    found = accounts.objects.filter(**{accounts.USERNAME_FIELD: username}).first()
    if found is None:
        message = f"There is no account {username!r}."
        raise CommandError(message)
    return found.pk
