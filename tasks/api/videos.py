"""Videos: list, create by an upload in parts or in one request, read, change, delete."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import DirectUpload, Video, Visibility
from ..selectors.access import Action
from ..selectors.videos import VideoOverview, overviews, video_overview, videos_for
from ..services.requests.direct_upload import begin_direct_upload
from ..services.requests.edit import delete_checked, edit_video
from ..services.requests.share import set_visibility
from ..storage.aliases import sources_bucket
from ..storage.bucket import Bucket
from ..texts.stored import warning_message
from ..views.access import may, require_upload
from ..views.upload import short_name, store_upload
from .endpoint import Endpoint
from .protocol.bodies import Form
from .protocol.etags import etag_of, require_match, tagged
from .protocol.fields import entered, shown
from .protocol.once import once
from .protocol.pages import page_of
from .protocol.problems import NotHereError
from .schema import IF_MATCH, IF_NONE_MATCH, KEY, PAGE, described
from .shapes import UploadShown, VideoChanged, VideoEntered, VideoFileEntered, VideoPage, VideoShown

_ACTIONS: tuple[Action, ...] = ("watch", "view", "change", "delete")


class VideoEndpoint(Endpoint):
    """A view that returns videos."""

    tag = "videos"

    def shown_video(self, video: Video, overview: VideoOverview | None = None) -> dict[str, Any]:
        """Return the video as this user may see it."""
        overview = overview or video_overview(video)
        rights = [action for action in _ACTIONS if may(self.http_request, action, video)]
        may_view, published = "view" in rights, video.published_job
        return shown(
            VideoShown,
            {
                "id": video.pk,
                "title": video.title,
                "description": video.description,
                "status": overview.status.value,
                "message": overview.message if may_view else overview.watcher_message,
                "visibility": video.visibility,
                "created_at": video.created_at,
                "size_bytes": video.source_bytes if may_view else None,
                "duration_s": published.duration_s if published else None,
                "warnings": [_warning(each) for each in published.warnings] if may_view and published else [],
                "job": overview.newest_job.pk if may_view and overview.newest_job else None,
                "published_job": video.published_job_id,
                "can_retry": "change" in rights and overview.retry.possible,
                "rights": rights,
            },
        )

    def bucket(self, *, otherwise: str) -> Bucket:
        """Return the bucket of uploads in parts. Raises NotHereError with the address for files in one request."""
        bucket = sources_bucket()
        if bucket is None:
            text = gettext("This site stores files in a folder. Send the file in one request, to {address}.")
            raise NotHereError(text.format(address=otherwise))
        return bucket

    def check(self, video_id: uuid.UUID) -> Any:
        """Return the check of If-Match, for a service that calls it with the locked video."""
        return lambda _locked: require_match(self.request, lambda: self.shown_video(self.video(video_id, "watch")))


class Videos(VideoEndpoint):
    """All videos of a user."""

    @described("listVideos", parameters=PAGE, responses=VideoPage)
    def get(self, request: Request) -> Response:
        """List your videos, or all with the permission `view_video`, newest first."""
        videos, links = page_of(request, videos_for(request.user))
        overview_by_id = overviews(videos)
        return Response({**links, "results": [self.shown_video(each, overview_by_id[each.pk]) for each in videos]})

    @described("createVideo", parameters=[KEY], request=VideoEntered, responses={201: UploadShown})
    def post(self, request: Request) -> Response:
        """Create a video and begin the upload of its file in parts.

        409 `OTHER_WAY_OF_UPLOAD` if the site's storage is a folder: send the file in one request then.
        """
        require_upload(self.http_request)
        bucket = self.bucket(otherwise="videos/file/")
        asked = entered(VideoEntered, request.data)

        def create(video_id: uuid.UUID) -> Response:
            upload = begin_direct_upload(
                bucket=bucket,
                owner=request.user,
                title=asked["title"],
                name=short_name(asked["name"]),
                size_bytes=asked["size_bytes"],
                content_type=asked["type"],
                video_id=video_id,
            )
            self.set_visibility(video_id, asked)
            headers = {"Location": reverse("batchreel-api:video", args=[video_id])}
            return Response(shown_upload(upload, list(range(1, upload.parts + 1))), status=201, headers=headers)

        return once(request, create)

    def set_visibility(self, video_id: uuid.UUID, asked: dict[str, Any]) -> None:
        """Give a new video the visibility that was requested."""
        if "visibility" in asked:
            set_visibility(video_id=video_id, visibility=Visibility(asked["visibility"]))


class VideoFile(Videos):
    """A new video in one request."""

    parser_classes = [Form]
    http_method_names = ["post"]

    @described(
        "createVideoFromFile",
        parameters=[KEY],
        request={"multipart/form-data": VideoFileEntered},
        responses={201: VideoShown},
    )
    def post(self, request: Request) -> Response:
        """Create a video from a file in this request.

        Of any size if the site's storage is a folder; up to `body_limit_bytes` if it is a bucket, which has
        uploads in parts for larger ones.
        """
        require_upload(self.http_request)
        asked = entered(VideoFileEntered, request.data)

        def create(video_id: uuid.UUID) -> Response:
            store_upload(title=asked["title"], file=asked["file"], owner=request.user, video_id=video_id)
            self.set_visibility(video_id, asked)
            video = self.shown_video(self.video(video_id))
            headers = {"Location": reverse("batchreel-api:video", args=[video_id]), "ETag": etag_of(video)}
            return Response(video, status=201, headers=headers)

        return once(request, create)


class OneVideo(VideoEndpoint):
    """One video."""

    @described("readVideo", parameters=[IF_NONE_MATCH], responses={200: VideoShown, 304: None})
    def get(self, request: Request, video_id: uuid.UUID) -> Response:
        """Read a video that you may watch."""
        return tagged(request, self.shown_video(self.video(video_id, "watch")))

    @described("changeVideo", parameters=[IF_MATCH], request=VideoChanged, responses=VideoShown)
    def patch(self, request: Request, video_id: uuid.UUID) -> Response:
        """Change title, description or visibility, if the video still is as you read it."""
        self.video(video_id, "change")
        asked = entered(VideoChanged, request.data, partial=True)
        visibility = Visibility(asked["visibility"]) if "visibility" in asked else None
        edit_video(
            video_id=video_id,
            title=asked.get("title"),
            description=asked.get("description"),
            visibility=visibility,
            check=self.check(video_id),
        )
        return tagged(request, self.shown_video(self.video(video_id, "change")))

    @described("deleteVideo", parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, video_id: uuid.UUID) -> Response:
        """Delete a video: its jobs end now, its files are removed soon after."""
        self.video(video_id, "delete")
        delete_checked(video_id=video_id, check=self.check(video_id))
        return Response(status=204)


def shown_upload(row: DirectUpload, missing: list[int]) -> dict[str, Any]:
    """Return an open upload, with the numbers of the parts that are missing."""
    return shown(
        UploadShown,
        {"video": row.video_id, "size_bytes": row.size_bytes, "part_bytes": row.part_bytes, "missing": missing},
    )


def _warning(warning: Mapping[str, str]) -> dict[str, str]:
    return {"code": warning["code"], "message": warning_message(warning)}
