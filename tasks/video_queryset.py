"""What deleting videos means: to ask for it. Rows stay until their work has ended."""

from __future__ import annotations

from typing import Any

from django.db import models

from tasks.signals import deletion_requested


class VideoQuerySet(models.QuerySet[Any]):
    """Videos, whose deletion is asked for here and done by a service: rows stay until their work has ended."""

    def delete(self) -> tuple[int, dict[str, int]]:
        """Ask for the videos' deletion. Their jobs end now; the reap tick removes objects, then rows."""
        video_ids = list(self.values_list("pk", flat=True))
        for video_id in video_ids:
            deletion_requested.send(self.model, video_id=video_id)
        return len(video_ids), {"batchreel.Video": len(video_ids)}

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's own marker for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # likewise: not a method of the manager
