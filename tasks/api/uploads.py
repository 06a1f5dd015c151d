"""Uploads in parts, of new videos and of new sources, and a new source in one request."""

from __future__ import annotations

import uuid

from django.utils.translation import gettext
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..services.requests.direct_upload import complete_direct_upload
from ..services.requests.replace import begin_replacement, replace_source
from ..views.access import quota_owner
from ..views.direct_upload import abort, bucket_of_uploads, numbers_left, open_upload, urls_of_parts
from ..views.upload import short_name
from .protocol.bodies import Form
from .protocol.fields import entered
from .protocol.once import once
from .schema import KEY, described
from .shapes import FileEntered, PartsEntered, PartUrlsShown, SourceEntered, UploadShown, VideoShown
from .videos import VideoEndpoint, shown_upload


class UploadEndpoint(VideoEndpoint):
    """A view of the open upload of a video."""

    tag = "uploads"


class OneUpload(UploadEndpoint):
    """The open upload of a video."""

    @described("readUpload", responses=UploadShown)
    def get(self, request: Request, video_id: uuid.UUID) -> Response:
        """Read which parts are missing. 404 if no upload is open."""
        row = open_upload(self.http_request, video_id, "view")
        return Response(shown_upload(row, numbers_left(row)))

    @described("beginReplacement", parameters=[KEY], request=SourceEntered, responses={201: UploadShown})
    def post(self, request: Request, video_id: uuid.UUID) -> Response:
        """Begin to replace the file of a video, whose address stays.

        What is published plays until the new version is published. 409 `UPLOAD_OPEN` while another upload is
        open, `OTHER_WAY_OF_UPLOAD` if the site's storage is a folder.
        """
        video = self.video(video_id, "change")
        bucket = self.bucket(otherwise="source/")
        asked = entered(SourceEntered, request.data)

        def create(version: uuid.UUID) -> Response:
            upload = begin_replacement(
                bucket=bucket,
                video_id=video_id,
                owner=quota_owner(self.http_request, video),
                name=short_name(asked["name"]),
                size_bytes=asked["size_bytes"],
                content_type=asked["type"],
                version=version,
            )
            return Response(shown_upload(upload, numbers_left(upload)), status=201)

        return once(request, create)

    @described("abortUpload", responses={204: None})
    def delete(self, request: Request, video_id: uuid.UUID) -> Response:
        """Abort the upload. A new video is deleted with it; one with a file stays as it is."""
        abort(self.http_request, video_id)
        return Response(status=204)


class PartUrls(UploadEndpoint):
    """URLs of parts."""

    @described("requestPartUrls", request=PartsEntered, responses=PartUrlsShown)
    def post(self, request: Request, video_id: uuid.UUID) -> Response:
        """Return presigned URLs for up to fifty parts.

        PUT each part without credentials; its size is part of the signature. A URL is valid for `signed_url_ttl_s`.
        """
        row = open_upload(self.http_request, video_id)
        numbers = entered(PartsEntered, request.data)["numbers"]
        if max(numbers) > row.parts:
            message = gettext("The upload has {parts} parts.").format(parts=row.parts)
            raise serializers.ValidationError({"numbers": message})
        return Response({"urls": urls_of_parts(row, numbers)})


class Completion(UploadEndpoint):
    """The end of an upload."""

    @described("completeUpload", responses=VideoShown)
    def post(self, request: Request, video_id: uuid.UUID) -> Response:
        """Complete the upload once all parts have been sent. It may be repeated.

        409 `PARTS_MISSING` with the numbers of parts that are missing; 410 `UPLOAD_LOST` if the file has to be
        uploaded again.
        """
        self.video(video_id, "change")
        complete_direct_upload(bucket=bucket_of_uploads(), video_id=video_id)
        return Response(self.shown_video(self.video(video_id, "change")))


class Source(UploadEndpoint):
    """The file of a video."""

    parser_classes = [Form]

    @described("replaceSource", parameters=[KEY], request={"multipart/form-data": FileEntered}, responses=VideoShown)
    def post(self, request: Request, video_id: uuid.UUID) -> Response:
        """Replace the file of a video by the one in this request.

        Of any size if the site's storage is a folder; up to `body_limit_bytes` if it is a bucket.
        """
        video = self.video(video_id, "change")
        file = entered(FileEntered, request.data)["file"]

        def create(version: uuid.UUID) -> Response:
            replace_source(
                video_id=video_id,
                owner=quota_owner(self.http_request, video),
                name=short_name(file.name or "video"),
                file=file,
                version=version,
            )
            return Response(self.shown_video(self.video(video_id, "change")))

        return once(request, create)
