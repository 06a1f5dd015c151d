from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import migrations
from django.db.models import Exists, F, OuterRef

if TYPE_CHECKING:
    from django.apps.registry import Apps
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def note_requested_sources(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Say of each video with a job for its source that it was asked for."""
    alias = schema_editor.connection.alias
    jobs = apps.get_model("batchreel", "Job").objects.using(alias)
    requested = jobs.filter(video=OuterRef("pk"), source_name=OuterRef("source"))
    apps.get_model("batchreel", "Video").objects.using(alias).filter(Exists(requested)).update(
        requested_source=F("source")
    )


class Migration(migrations.Migration):
    dependencies = [
        ("batchreel", "0004_requested_source"),
    ]

    operations = [
        migrations.RunPython(note_requested_sources, migrations.RunPython.noop, elidable=True),
    ]
