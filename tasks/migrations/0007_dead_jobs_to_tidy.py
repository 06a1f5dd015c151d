from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """DEAD jobs are tidied too. The index is built while jobs go on: without a lock, so outside a transaction."""

    atomic = False

    dependencies = [
        ("batchreel", "0006_owners_and_direct_uploads"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="job",
            index=models.Index(
                fields=["finished_at"],
                condition=models.Q(state="DEAD", tidied_at=None, purged_at=None),
                name="job_dead_untidied",
            ),
        ),
    ]
