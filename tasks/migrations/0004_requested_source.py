from django.db import migrations, models


class Migration(migrations.Migration):
    """A column that tells which source was asked for, so that overlooked videos are found without reading all."""

    dependencies = [
        ("batchreel", "0003_note_superseded"),
    ]

    operations = [
        migrations.AddField(
            model_name="video",
            name="requested_source",
            field=models.CharField(
                blank=True,
                db_default="",
                editable=False,
                help_text="The source that a job was last asked for.",
                max_length=500,
            ),
        ),
        migrations.AddIndex(
            model_name="video",
            index=models.Index(
                condition=models.Q(
                    models.Q(("requested_source", models.F("source")), _negated=True),
                    ("deleted_at", None),
                    ("source_complete", True),
                    models.Q(("source", ""), _negated=True),
                ),
                fields=["created_at"],
                name="video_overlooked",
            ),
        ),
    ]
