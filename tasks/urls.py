"""The app's pages. A host site includes them where it likes; the namespace is `batchreel`."""

from __future__ import annotations

from django.urls import path

from tasks.views import media, pages, progress

app_name = "batchreel"

urlpatterns = [
    path("", pages.video_list, name="list"),
    path("upload/", pages.upload, name="upload"),
    path("progress/", progress.progress, name="progress"),
    path("videos/<uuid:video_id>/", pages.video_page, name="video"),
    path("videos/<uuid:video_id>/retry/", pages.retry, name="retry"),
    path("videos/<uuid:video_id>/delete/", pages.delete, name="delete"),
    path("videos/<uuid:video_id>/delete/confirm/", pages.confirm_delete, name="confirm-delete"),
    path("media/<path:key>", media.media, name="media"),
]
