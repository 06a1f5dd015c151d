import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Who uploaded a video, and uploads that go to the bucket in parts."""

    dependencies = [
        ('batchreel', '0005_note_requested_sources'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='video',
            name='owner',
            field=models.ForeignKey(blank=True, help_text='Who uploaded it. They and the staff see it on the pages; nobody else does.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='DirectUpload',
            fields=[
                ('video', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='direct_upload', serialize=False, to='batchreel.video')),
                ('upload_id', models.TextField(help_text="S3's name of the multipart upload.")),
                ('size_bytes', models.PositiveBigIntegerField(help_text='What the browser said the file has.')),
                ('part_bytes', models.PositiveBigIntegerField(help_text='Size of each part but the last.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='upload_created')],
            },
        ),
    ]
