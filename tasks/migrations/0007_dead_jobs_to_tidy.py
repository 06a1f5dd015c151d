from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


if TYPE_CHECKING:
    from django.apps.registry import Apps
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def forget_past_failures(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Tidying forgets a failure once it has succeeded; jobs that were tidied before this version still remember theirs."""
    jobs = apps.get_model("batchreel", "Job").objects.using(schema_editor.connection.alias)
    jobs.filter(purge_tried_at__isnull=False, tidied_at__isnull=False, purged_at=None).update(purge_tried_at=None)


class Migration(migrations.Migration):
    """DEAD jobs are tidied too. The index is built while jobs go on: without a lock, so outside a transaction."""

    atomic = False

    dependencies = [
        ("batchreel", "0006_owners_and_direct_uploads"),
    ]

    operations = [
        migrations.RunPython(forget_past_failures, migrations.RunPython.noop, elidable=True),
        AddIndexConcurrently(
            model_name="job",
            index=models.Index(
                fields=["finished_at"],
                condition=models.Q(state="DEAD", tidied_at=None, purged_at=None),
                name="job_dead_untidied",
            ),
        ),
    ]
