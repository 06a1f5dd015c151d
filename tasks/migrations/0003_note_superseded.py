from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import migrations
from django.db.models import Min, OuterRef, Subquery

if TYPE_CHECKING:
    from django.apps.registry import Apps
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def note_superseded(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Say of each publication that was replaced since when it is, so that its retention ends."""
    succeeded = apps.get_model("batchreel", "Job").objects.using(schema_editor.connection.alias).filter(state="SUCCEEDED")
    newer = succeeded.filter(video_id=OuterRef("video_id"), created_at__gt=OuterRef("created_at"))
    first = newer.order_by().values("video_id").annotate(first=Min("finished_at")).values("first")
    succeeded.filter(superseded_at=None).update(superseded_at=Subquery(first))


class Migration(migrations.Migration):
    dependencies = [
        ("batchreel", "0002_previews_and_history"),
    ]

    operations = [
        migrations.RunPython(note_superseded, migrations.RunPython.noop, elidable=True),
    ]
