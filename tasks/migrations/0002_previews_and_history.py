from django.db import migrations, models


class Migration(migrations.Migration):
    """Previews, repairs counted by unit, and indexes that keep a tick's cost free of history.

    Containers of the version before go on with this schema: each new column is nullable or has a default in the
    database, and the one that nothing uses any more stays until a later version.
    """

    dependencies = [
        ("batchreel", "0001_initial"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="unit", name="unit_kind_known"),
        migrations.AlterField(
            model_name="unit",
            name="kind",
            field=models.CharField(
                choices=[
                    ("plan", "plan"),
                    ("remux", "remux"),
                    ("video", "video"),
                    ("audio", "audio"),
                    ("publish", "publish"),
                ],
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="unit",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["plan", "remux", "video", "audio", "publish"])),
                name="unit_kind_known",
            ),
        ),
        migrations.AddField(
            model_name="unit",
            name="repairs",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="How often a failed verify sent it back since the job was asked for or revived.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="level",
            field=models.PositiveSmallIntegerField(
                blank=True, help_text="0 is a preview, 1 the full ladder.", null=True
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="superseded_at",
            field=models.DateTimeField(blank=True, help_text="When a newer job had succeeded.", null=True),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(
                    ("purged_at", None), ("state__in", ["CANCELLED", "FAILED", "SUCCEEDED"]), ("tidied_at", None)
                ),
                fields=["finished_at"],
                name="job_untidied",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("purged_at", None)), fields=["superseded_at"], name="job_superseded"
            ),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                condition=models.Q(
                    ("batch_job_id__isnull", False),
                    ("ended_at__isnull", False),
                    models.Q(("batch_status__in", ["FAILED", "SUCCEEDED"]), _negated=True),
                ),
                fields=["ended_at"],
                name="attempt_without_last_word",
            ),
        ),
        migrations.AlterField(
            model_name="tick",
            name="cursor",
            field=models.CharField(blank=True, db_default="", max_length=200),
        ),
        # The column goes one version later: ticks of the version before still name it.
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveField(model_name="tick", name="cursor")],
        ),
    ]
