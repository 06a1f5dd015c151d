"""URLs of the app. A host site may include them under any prefix; the namespace is `batchreel`."""

from __future__ import annotations

from django.db import transaction
from django.urls import path

from .texts.for_scripts import script_texts
from .tracing import traced
from .views import direct_upload, embed, media, metrics, pages, progress, shares
from .views.editing import captions, replace
from .views.editing import page as editing
from .views.listing import cards
from .views.listing import page as listing
from .views.watching.position import position
from .views.watching.thumbnails import thumbnails

app_name = "batchreel"

urlpatterns = [
    path("", listing.video_list, name="list"),
    path("upload/", traced("batchreel.upload", listing.upload), name="upload"),
    path("uploads/", direct_upload.begin, name="begin-direct-upload"),
    path("uploads/<uuid:video_id>/", direct_upload.upload, name="direct-upload"),
    path("uploads/<uuid:video_id>/urls/", direct_upload.part_urls, name="part-urls"),
    path(
        "uploads/<uuid:video_id>/complete/",
        traced("batchreel.complete_upload", direct_upload.complete),
        name="complete-direct-upload",
    ),
    path("cards/", cards.cards, name="cards"),
    path("progress/", progress.progress, name="progress"),
    path("videos/<uuid:video_id>/", pages.video_page, name="video"),
    path("videos/<uuid:video_id>/blocks/", pages.video_blocks, name="video-blocks"),
    path("videos/<uuid:video_id>/source/", media.source, name="source"),
    path("videos/<uuid:video_id>/chapters.vtt", media.chapters, name="chapters"),
    path("videos/<uuid:video_id>/download/", media.download, name="download"),
    path("videos/<uuid:video_id>/edit/", editing.edit, name="edit"),
    path("videos/<uuid:video_id>/edit/chapters/", editing.chapters, name="edit-chapters"),
    path("videos/<uuid:video_id>/cancel/", editing.cancel, name="cancel"),
    path("videos/<uuid:video_id>/replace/", traced("batchreel.upload", replace.replace), name="replace-source"),
    path("videos/<uuid:video_id>/replace/parts/", replace.begin, name="begin-replacement"),
    path("videos/<uuid:video_id>/replace/abort/", replace.abort, name="abort-replacement"),
    path("videos/<uuid:video_id>/captions/", captions.add, name="add-captions"),
    path("videos/<uuid:video_id>/captions/own/", captions.own, name="own-captions"),
    path("videos/<uuid:video_id>/captions/<uuid:captions_id>/", captions.change, name="change-captions"),
    path("videos/<uuid:video_id>/captions/<uuid:captions_id>/text/", captions.text, name="captions-text"),
    path("videos/<uuid:video_id>/captions/<uuid:captions_id>/remove/", captions.remove, name="remove-captions"),
    path("videos/<uuid:video_id>/captions/<uuid:captions_id>/captions.vtt", captions.download, name="captions-file"),
    path("videos/<uuid:video_id>/thumbnails.vtt", thumbnails, name="thumbnails"),
    path("videos/<uuid:video_id>/position/", position, name="position"),
    path("videos/<uuid:video_id>/playback/", embed.playback, name="playback"),
    path("videos/<uuid:video_id>/visibility/", shares.visibility, name="visibility"),
    path("videos/<uuid:video_id>/share-links/", shares.create_link, name="create-share-link"),
    path("videos/<uuid:video_id>/share-links/<uuid:link_id>/revoke/", shares.revoke_link, name="revoke-share-link"),
    path("videos/<uuid:video_id>/retry/", pages.retry, name="retry"),
    path("videos/<uuid:video_id>/delete/", pages.delete, name="delete"),
    path("videos/<uuid:video_id>/delete/confirm/", pages.confirm_delete, name="confirm-delete"),
    path("share/<str:token>/", shares.share, name="share"),
    path("share/<str:token>/embed/", shares.share_embed, name="share-embed"),
    path("embed/<uuid:video_id>/", embed.embed, name="embed"),
    path("oembed/", embed.oembed, name="oembed"),
    path("texts.js", script_texts, name="script-texts"),
    path("media/<path:key>", media.media, name="media"),
    path("metrics", metrics.metrics, name="metrics"),
]

# Views call the bucket and send wake-ups, which must not happen inside a transaction. Services open
# their own, so ATOMIC_REQUESTS of a site does not apply here.
for pattern in urlpatterns:
    transaction.non_atomic_requests(pattern.callback)
