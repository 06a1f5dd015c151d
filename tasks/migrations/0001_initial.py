import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models

from ..storage.aliases import source_field_storage
from ..storage.keys import source_key


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='GrantCounter',
            fields=[
                ('name', models.CharField(max_length=30, primary_key=True, serialize=False)),
                ('granted', models.PositiveBigIntegerField(default=0, help_text='Number of attempts granted so far.')),
                ('queue_vcpus', models.PositiveIntegerField(blank=True, help_text="vCPUs that the job queue's compute environments may have. Empty if unknown.", null=True)),
                ('queue_read_at', models.DateTimeField(blank=True, help_text='When AWS was last asked for them.', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('source_name', models.CharField(help_text="Storage name of the source file, which identifies the video's version.", max_length=500)),
                ('profile', models.CharField(max_length=50)),
                ('profile_fields', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text='All fields of the profile as they were when the job was requested, whatever the settings are now.')),
                ('automatic', models.BooleanField(default=True, help_text='Requested by a signal or a tick, not by a person.')),
                ('priority', models.CharField(choices=[('upload', 'upload'), ('bulk', 'bulk')], db_default='upload', default='upload', help_text="Jobs of uploads are submitted before those of bulk requests; a job's retries come before both.", max_length=8)),
                ('state', models.CharField(choices=[('QUEUED', 'QUEUED'), ('RUNNING', 'RUNNING'), ('RETRY_WAIT', 'RETRY_WAIT'), ('SUCCEEDED', 'SUCCEEDED'), ('FAILED', 'FAILED'), ('CANCELLED', 'CANCELLED'), ('DEAD', 'DEAD')], default='QUEUED', max_length=12)),
                ('fence', models.PositiveIntegerField(default=0, help_text='Number of the newest attempt.')),
                ('budget_from', models.PositiveIntegerField(default=0, help_text='Attempts up to this number no longer count, because the job was revived after them.')),
                ('next_attempt_at', models.DateTimeField(blank=True, db_default=django.db.models.functions.datetime.Now(), null=True)),
                ('reason', models.CharField(blank=True, max_length=50)),
                ('reason_message', models.TextField(blank=True)),
                ('reason_details', models.JSONField(blank=True, editable=False, help_text='What the message needs in other languages than English.', null=True)),
                ('plan', models.JSONField(blank=True, help_text='What the containers do. Removed when the ended job is pruned.', null=True)),
                ('engine', models.CharField(blank=True, db_default='', help_text='Engine id of the plan.', max_length=64)),
                ('encode_cost_s', models.FloatField(blank=True, help_text='Estimated CPU seconds of all units; empty before the plan.', null=True)),
                ('playlist_key', models.CharField(blank=True, help_text='Storage name of the master playlist.', max_length=500)),
                ('edition_key', models.CharField(blank=True, db_default='', default='', help_text='Storage name of the master playlist of its newest edition; empty without one.', max_length=500)),
                ('poster_key', models.CharField(blank=True, max_length=500)),
                ('warnings', models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text='Warnings about the source, for its page.')),
                ('chapters', models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, help_text='Chapters of the output, as in the manifest, for its page.')),
                ('duration_s', models.FloatField(blank=True, help_text='Length of the output, by the plan.', null=True)),
                ('source_playable_at', models.DateTimeField(blank=True, help_text='When the plan showed that browsers can play the source as it is; empty if they cannot.', null=True)),
                ('playable_at', models.DateTimeField(blank=True, editable=False, help_text='When the outbox got `video.playable` because of it; empty if the video could be watched before.', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('tallied', models.BooleanField(db_default=False, default=False, editable=False, help_text='Whether the counters include its end.')),
                ('traceparent', models.CharField(blank=True, db_default='', default='', editable=False, help_text='The trace of the request, in the format of W3C Trace Context; empty without OpenTelemetry.', max_length=55)),
                ('superseded_at', models.DateTimeField(blank=True, help_text='Set once a newer job of the video has succeeded.', null=True)),
                ('pruned_at', models.DateTimeField(blank=True, help_text='When its plan, its units and the objects of superseded leases were removed.', null=True)),
                ('purged_at', models.DateTimeField(blank=True, help_text='When all of its objects were removed.', null=True)),
                ('purge_failed_at', models.DateTimeField(blank=True, editable=False, help_text='When pruning or purging it last failed; others are tried first.', null=True)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Listener',
            fields=[
                ('name', models.CharField(max_length=30, primary_key=True, serialize=False)),
                ('seen_at', models.DateTimeField(blank=True, help_text='When a listener last read the queue.', null=True)),
                ('event_at', models.DateTimeField(blank=True, help_text='When an event was last received.', null=True)),
                ('late_at', models.DateTimeField(blank=True, help_text='When an event was last received that had waited in the queue for too long.', null=True)),
                ('error_code', models.CharField(blank=True, db_default='', help_text='Code of the error of the last read of the queue.', max_length=50)),
                ('error_message', models.TextField(blank=True, db_default='')),
            ],
        ),
        migrations.CreateModel(
            name='Machine',
            fields=[
                ('arn', models.CharField(max_length=512, primary_key=True, serialize=False)),
                ('ec2_instance_id', models.CharField(blank=True, max_length=32)),
                ('instance_type', models.CharField(blank=True, help_text='Empty if AWS did not name it.', max_length=32)),
                ('availability_zone', models.CharField(blank=True, max_length=32)),
                ('vcpus', models.FloatField(blank=True, help_text='vCPUs of the whole machine.', null=True)),
                ('purchase', models.CharField(blank=True, max_length=12)),
                ('asked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Tick',
            fields=[
                ('name', models.CharField(max_length=30, primary_key=True, serialize=False)),
                ('fence', models.PositiveBigIntegerField(default=0, help_text='Number of ticks so far.')),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('succeeded_at', models.DateTimeField(blank=True, help_text='When the last tick without an error finished.', null=True)),
                ('continuous_since', models.DateTimeField(blank=True, help_text='Start of the current series of ticks without a gap.', null=True)),
                ('position', models.TextField(blank=True, db_default='', default='', help_text='Where the next tick continues; empty for the beginning.')),
                ('error_code', models.CharField(blank=True, help_text='Code of the error that ended the last tick.', max_length=50)),
                ('error_message', models.TextField(blank=True)),
                ('failures', models.PositiveBigIntegerField(db_default=0, default=0, help_text='Number of ticks so far that ended with an error, or were killed.')),
            ],
        ),
        migrations.CreateModel(
            name='Counter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('labels', models.JSONField(blank=True, default=dict, help_text='What is counted: names and short texts.')),
                ('value', models.FloatField(default=0)),
                ('reported', models.FloatField(default=0, help_text='Its value in the last METRICS line of the log.')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'labels'), name='one_counter_per_series')],
            },
        ),
        migrations.CreateModel(
            name='DayCost',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(help_text='In UTC.')),
                ('purchase', models.CharField(blank=True, max_length=12)),
                ('source', models.CharField(blank=True, help_text='Where the prices come from.', max_length=12)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('vcpu_h', models.FloatField(default=0)),
                ('cost_usd', models.DecimalField(decimal_places=8, default=0, max_digits=18)),
                ('spot_usd', models.DecimalField(decimal_places=8, default=0, help_text='Of that, lost to Spot.', max_digits=18)),
                ('retries_usd', models.DecimalField(decimal_places=8, default=0, help_text='Lost to retries.', max_digits=18)),
                ('cancels_usd', models.DecimalField(decimal_places=8, default=0, help_text='Lost to cancelled jobs.', max_digits=18)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('day', 'purchase', 'source'), name='one_sum_per_day_and_price')],
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('kind', models.CharField(max_length=50)),
                ('video_id', models.UUIDField(blank=True, null=True)),
                ('job_id', models.UUIDField(blank=True, null=True)),
                ('attempt_number', models.PositiveIntegerField(blank=True, null=True)),
                ('from_state', models.CharField(blank=True, max_length=12)),
                ('to_state', models.CharField(blank=True, max_length=12)),
                ('reason', models.CharField(blank=True, max_length=50)),
                ('text', models.TextField(blank=True)),
                ('details', models.JSONField(blank=True, editable=False, help_text='What the text needs in other languages than English.', null=True)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['job_id', 'id'], name='event_job'), models.Index(fields=['video_id', 'id'], name='event_video'), models.Index(fields=['kind', 'id'], name='event_kind')],
            },
        ),
        migrations.CreateModel(
            name='Video',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('title', models.CharField(blank=True, max_length=200)),
                ('description', models.TextField(blank=True, db_default='', default='', help_text='Plain text under the player. Line breaks are kept.', max_length=5000)),
                ('visibility', models.CharField(choices=[('private', 'Private: people with a permission or a share link'), ('signed-in', 'Everyone who is signed in'), ('link', 'Everyone who has the address, without signing in')], db_default='private', default='private', help_text='Who may watch it, next to its owner and people with a permission.', max_length=12)),
                ('source', models.FileField(max_length=500, storage=source_field_storage, upload_to=source_key)),
                ('source_complete', models.BooleanField(default=True, help_text='False while a direct upload to the storage is in progress.')),
                ('source_bytes', models.PositiveBigIntegerField(blank=True, editable=False, help_text='Size of a file that was uploaded on the pages.', null=True)),
                ('requested_source', models.CharField(blank=True, db_default='', editable=False, help_text='The source for which a job was last requested.', max_length=500)),
                ('chapters', models.JSONField(blank=True, editable=False, help_text='Chapters that a person entered: `start_ms` and `title`. Empty: those of the file.', null=True)),
                ('keeps_own_captions', models.BooleanField(db_default=True, default=True, editable=False, help_text='Whether the captions of the file are offered, too.')),
                ('newest_edit', models.PositiveIntegerField(db_default=0, default=0, editable=False, help_text='Number of the newest change of captions or chapters.')),
                ('shown_edit', models.PositiveIntegerField(db_default=0, default=0, editable=False, help_text='The change up to which the published playlists are.')),
                ('edition_failed_at', models.DateTimeField(blank=True, editable=False, help_text='When making its edition last failed; others are tried first.', null=True)),
                ('mail_wanted', models.BooleanField(db_default=False, default=False, editable=False, help_text='Whether its owner wants a mail when it can be watched, or has failed.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('deleted_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('purge_failed_at', models.DateTimeField(blank=True, editable=False, help_text='When purging it last failed; others are tried first.', null=True)),
                ('owner', models.ForeignKey(blank=True, help_text='The person who uploaded it, and who may do everything with it.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('published_job', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='batchreel.job')),
            ],
            options={
                'ordering': ['-created_at'],
                'permissions': [('exceed_quotas', 'Can exceed the quotas of an owner'), ('watch_video', 'Can watch video')],
                'constraints': [models.CheckConstraint(condition=models.Q(('visibility__in', ['private', 'signed-in', 'link'])), name='video_visibility_known')],
            },
        ),
        migrations.CreateModel(
            name='ShareLink',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('expires_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('video', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='share_links', to='batchreel.video')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='WatchPosition',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position_s', models.FloatField(help_text='Seconds from the beginning at which playback was left.')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('video', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='watch_positions', to='batchreel.video')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'video'), name='watch_position_once'), models.CheckConstraint(condition=models.Q(('position_s__gte', 0)), name='watch_position_not_negative')],
            },
        ),
        migrations.AddField(
            model_name='job',
            name='video',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='batchreel.video'),
        ),
        migrations.CreateModel(
            name='Captions',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('language', models.CharField(help_text='BCP 47 tag.', max_length=35)),
                ('purpose', models.CharField(blank=True, choices=[('', 'Subtitles: what is spoken'), ('sdh', 'Captions for the deaf and hard of hearing: also who speaks, music and noises'), ('forced', 'Only what is in another language than the video')], default='', max_length=8)),
                ('name', models.CharField(help_text="Name in the player's menu.", max_length=60)),
                ('webvtt', models.TextField(help_text='A whole WebVTT file, on the clock of the published video.')),
                ('cues', models.PositiveIntegerField()),
                ('end_ms', models.PositiveBigIntegerField(help_text='When the last cue ends.')),
                ('file_format', models.CharField(help_text='Format of the uploaded file.', max_length=30)),
                ('encoding', models.CharField(help_text='Encoding of the uploaded file.', max_length=20)),
                ('encoding_is_certain', models.BooleanField(help_text='Whether the file showed its encoding, or its language did.')),
                ('edit', models.PositiveIntegerField(help_text='`newest_edit` of the video when it was last changed.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('video', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='captions', to='batchreel.video')),
            ],
            options={
                'verbose_name_plural': 'captions',
                'ordering': ['language', 'purpose'],
                'constraints': [models.UniqueConstraint(fields=('video', 'language', 'purpose'), name='one_track_per_language_and_purpose'), models.CheckConstraint(condition=models.Q(('purpose__in', ['', 'sdh', 'forced'])), name='caption_purpose_known')],
            },
        ),
        migrations.CreateModel(
            name='Edition',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('folder', models.CharField(help_text='Storage folder of its playlists.', max_length=500)),
                ('edit', models.PositiveIntegerField(help_text='`newest_edit` of the video that it has.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(blank=True, help_text='When a newer one replaced it, or it failed. Empty for one that is shown.', null=True)),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='editions', to='batchreel.job')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['ended_at'], name='edition_ended')],
            },
        ),
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('helps', models.PositiveIntegerField(blank=True, help_text='Number of the lead that this attempt helps; empty for a lead.', null=True)),
                ('on_demand', models.BooleanField(db_default=False, default=False, help_text='Whether it was submitted to the queue of On-Demand machines.')),
                ('state', models.CharField(choices=[('SUBMITTING', 'SUBMITTING'), ('SUBMITTED', 'SUBMITTED'), ('RUNNING', 'RUNNING'), ('SUCCEEDED', 'SUCCEEDED'), ('FAILED', 'FAILED'), ('LOST', 'LOST'), ('CANCELLED', 'CANCELLED')], default='SUBMITTING', max_length=12)),
                ('reason', models.CharField(blank=True, max_length=50)),
                ('reason_message', models.TextField(blank=True)),
                ('counted', models.BooleanField(blank=True, help_text="Empty while undecided: until Batch's final status, or until the wait for it is over.", null=True)),
                ('vcpus', models.PositiveSmallIntegerField()),
                ('memory_mib', models.PositiveIntegerField()),
                ('timeout_s', models.PositiveIntegerField(help_text='Seconds from its start after which AWS Batch terminates it.')),
                ('batch_job_name', models.CharField(max_length=128, unique=True)),
                ('batch_job_id', models.CharField(blank=True, max_length=64, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('submit_called_at', models.DateTimeField(blank=True, help_text='Written just before each call of SubmitJob.', null=True)),
                ('submit_at', models.DateTimeField(blank=True, help_text='SubmitJob has not taken effect: when to call it (again).', null=True)),
                ('lookup_at', models.DateTimeField(blank=True, help_text='When the Batch job was last looked up by its name.', null=True)),
                ('lookup_misses', models.PositiveSmallIntegerField(default=0)),
                ('claim_id', models.UUIDField(blank=True, null=True)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('heartbeat_at', models.DateTimeField(blank=True, null=True)),
                ('held_at', models.DateTimeField(blank=True, help_text='When rescue last spared it, because many containers were silent at once.', null=True)),
                ('progressed_at', models.DateTimeField(blank=True, help_text='When (stage, count) last changed.', null=True)),
                ('stage', models.CharField(blank=True, max_length=20)),
                ('count', models.PositiveBigIntegerField(default=0, help_text='Increases with any progress within the stage.')),
                ('encoded_frames', models.PositiveBigIntegerField(default=0, help_text='Total work done, in frames, including units in progress.')),
                ('units_done', models.PositiveIntegerField(db_default=0, default=0, help_text='Video and audio units that it finished.')),
                ('finished_work_s', models.FloatField(db_default=0, default=0, help_text='Seconds for which it held the units that it finished, added up.')),
                ('lost_work_s', models.FloatField(db_default=0, default=0, help_text='Seconds for which it held the units that it had not finished when it ended.')),
                ('machine_id', models.CharField(blank=True, db_default='', help_text="The kernel's boot id: the same for all containers of a machine until it restarts.", max_length=64)),
                ('ec2_instance_id', models.CharField(blank=True, db_default='', help_text='Id of the EC2 machine that runs the container, if known.', max_length=32)),
                ('leaving_at', models.DateTimeField(blank=True, help_text='When EC2 announced that it takes the machine back: the container leaves.', null=True)),
                ('scratch_mib', models.PositiveIntegerField(db_default=0, default=0, help_text="MiB of its machine's disk that it holds, or waits for in the stage `reserve`.")),
                ('error_code', models.CharField(blank=True, db_default='', help_text='The code of a suspicion: why this machine could not read the file, or that its encoder crashed.', max_length=50)),
                ('exit_code', models.SmallIntegerField(blank=True, null=True)),
                ('units_in_progress', models.JSONField(blank=True, default=list, help_text='Names of the units that it held, unfinished, when it ended.')),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('terminate_called_at', models.DateTimeField(blank=True, help_text='When TerminateJob was last called because the attempt had ended.', null=True)),
                ('tallied', models.BooleanField(db_default=False, default=False, editable=False, help_text='Whether the counters include its end.')),
                ('batch_status', models.CharField(blank=True, max_length=12)),
                ('batch_status_reason', models.TextField(blank=True)),
                ('batch_log_stream', models.CharField(blank=True, max_length=512)),
                ('batch_status_at', models.DateTimeField(blank=True, help_text='When the observation last changed.', null=True)),
                ('no_capacity_since', models.DateTimeField(blank=True, editable=False, help_text='Since when AWS Batch has had no capacity for it.', null=True)),
                ('missing_responses', models.PositiveSmallIntegerField(default=0, help_text='Consecutive responses in which the Batch job was missing.')),
                ('started_at', models.DateTimeField(blank=True, help_text='When the container started.', null=True)),
                ('stopped_at', models.DateTimeField(blank=True, help_text='When the container stopped.', null=True)),
                ('machine_arn', models.CharField(blank=True, db_default='', help_text="The machine: ECS's container instance, or only its cluster if AWS names none.", max_length=512)),
                ('instance_type', models.CharField(blank=True, db_default='', max_length=32)),
                ('availability_zone', models.CharField(blank=True, db_default='', max_length=32)),
                ('purchase', models.CharField(blank=True, db_default='', help_text='How the machine is paid for; empty if unknown.', max_length=12)),
                ('price_vcpu_h_usd', models.DecimalField(blank=True, decimal_places=8, help_text='Price of a vCPU for an hour, in US dollars.', max_digits=12, null=True)),
                ('price_source', models.CharField(blank=True, db_default='', help_text='Where that price comes from.', max_length=12)),
                ('cost_usd', models.DecimalField(blank=True, decimal_places=8, help_text='From start to stop, times vCPUs, times price, in US dollars. Never changes once it is there.', max_digits=14, null=True)),
                ('wasted_usd', models.DecimalField(blank=True, decimal_places=8, help_text='The part of it that brought no finished unit.', max_digits=14, null=True)),
                ('wasted_by', models.CharField(blank=True, db_default='', help_text='What that part was lost to; empty for nothing.', max_length=8)),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='batchreel.job')),
            ],
            options={
                'ordering': ['job', 'number'],
            },
        ),
        migrations.CreateModel(
            name='MachinePrice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('instance_type', models.CharField(max_length=32)),
                ('availability_zone', models.CharField(blank=True, help_text='Empty for prices of the whole region.', max_length=32)),
                ('source', models.CharField(max_length=12)),
                ('day', models.DateField(help_text='In UTC.')),
                ('machine_h_usd', models.DecimalField(decimal_places=8, help_text='Of the whole machine, for an hour.', max_digits=14)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('day', 'source', 'instance_type', 'availability_zone'), name='one_price_per_machine_and_day')],
            },
        ),
        migrations.CreateModel(
            name='OwnerTurn',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('owner', models.CharField(help_text='Primary key of the owner as text; empty for videos without one.', max_length=64)),
                ('turn', models.CharField(max_length=8)),
                ('number', models.PositiveBigIntegerField(help_text='Number of the grant, as in GrantCounter.')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('owner', 'turn'), name='one_row_per_owner_and_turn')],
            },
        ),
        migrations.CreateModel(
            name='Unit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('plan', 'plan'), ('video', 'video'), ('audio', 'audio'), ('publish', 'publish')], max_length=8)),
                ('index', models.PositiveIntegerField(default=0)),
                ('first_frame', models.PositiveBigIntegerField(default=0)),
                ('end_frame', models.PositiveBigIntegerField(default=0, help_text='The frame after the last one.')),
                ('weight_frames', models.PositiveBigIntegerField(default=0, help_text="Weight in the job's progress, in frames.")),
                ('state', models.CharField(choices=[('PENDING', 'PENDING'), ('LEASED', 'LEASED'), ('DONE', 'DONE')], default='PENDING', max_length=8)),
                ('fence', models.PositiveIntegerField(default=0, help_text='Increases with each lease.')),
                ('redo_count', models.PositiveSmallIntegerField(db_default=0, default=0, help_text='Redos after a failed verification since the job was requested or revived.')),
                ('lease_id', models.CharField(blank=True, max_length=32)),
                ('output', models.JSONField(blank=True, help_text='What publishing needs of it. The rows of units go when the ended job is pruned.', null=True)),
                ('leased_at', models.DateTimeField(blank=True, null=True)),
                ('done_at', models.DateTimeField(blank=True, null=True)),
                ('attempt', models.ForeignKey(blank=True, help_text='The attempt that holds or finished it.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='units', to='batchreel.attempt')),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='units', to='batchreel.job')),
            ],
            options={
                'ordering': ['job', 'kind', 'index'],
            },
        ),
        migrations.CreateModel(
            name='DirectUpload',
            fields=[
                ('video', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='direct_upload', serialize=False, to='batchreel.video')),
                ('source_name', models.CharField(help_text="Storage name of the file, which the video's source will be or already is.", max_length=500)),
                ('upload_id', models.TextField(help_text="S3's id of the multipart upload.")),
                ('size_bytes', models.PositiveBigIntegerField(help_text='Size of the file, as reported by the browser.')),
                ('part_bytes', models.PositiveBigIntegerField(help_text='Size of each part except the last.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='upload_created')],
            },
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('key', models.CharField(max_length=255)),
                ('request_hash', models.CharField(help_text='SHA-256 of method, path and content.', max_length=64)),
                ('target_id', models.UUIDField(default=uuid.uuid4, help_text='Id of what the request creates, the same in each of its tries.')),
                ('claim_id', models.UUIDField(default=uuid.uuid4, help_text='The try that may write the response.')),
                ('claimed_at', models.DateTimeField(blank=True, help_text='When that try began; empty if none is running.', null=True)),
                ('status_code', models.PositiveSmallIntegerField(blank=True, help_text='Empty without a response.', null=True)),
                ('response', models.TextField(blank=True, db_default='', help_text='Headers and body, encrypted: some have secrets.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='idempotency_key_created')],
                'constraints': [models.UniqueConstraint(fields=('owner', 'key'), name='one_request_per_idempotency_key'), models.CheckConstraint(condition=models.Q(('status_code', None), ('claimed_at', None), _connector='OR'), name='answered_request_is_not_running')],
            },
        ),
        migrations.CreateModel(
            name='OutboxSequence',
            fields=[
                ('video_id', models.UUIDField(primary_key=True, serialize=False)),
                ('last', models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.CharField(max_length=2000)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('kinds', models.JSONField(default=list, help_text='Kinds of events that it receives.')),
                ('enabled', models.BooleanField(default=True)),
                ('secret', models.TextField(editable=False)),
                ('old_secret', models.TextField(blank=True, db_default='', editable=False)),
                ('old_secret_until', models.DateTimeField(blank=True, editable=False, help_text='Until when the secret before is valid too.', null=True)),
                ('failing_since', models.DateTimeField(blank=True, editable=False, help_text='The first failure since the last success.', null=True)),
                ('failures', models.PositiveIntegerField(db_default=0, default=0, editable=False, help_text='Failures in a row.')),
                ('disabled_at', models.DateTimeField(blank=True, editable=False, help_text='When the site disabled it; empty if a person did.', null=True)),
                ('disabled_reason', models.CharField(blank=True, db_default='', editable=False, max_length=200)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='OutboxEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_id', models.UUIDField(default=uuid.uuid4, editable=False, help_text='The same in each delivery of this event.', unique=True)),
                ('kind', models.CharField(choices=[('video.playable', 'video.playable'), ('video.published', 'video.published'), ('video.failed', 'video.failed'), ('video.deleted', 'video.deleted')], max_length=30)),
                ('video_id', models.UUIDField()),
                ('sequence', models.PositiveIntegerField(help_text='Counts the events of the video, from 1.')),
                ('payload', models.JSONField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('dispatched_at', models.DateTimeField(blank=True, help_text='When its deliveries were created; empty until then.', null=True)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('dispatched_at', None)), fields=['id'], name='outbox_undispatched'), models.Index(fields=['created_at'], name='outbox_created')],
                'constraints': [models.UniqueConstraint(fields=('video_id', 'sequence'), name='one_outbox_event_per_number')],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(choices=[('signal', 'signal'), ('mail', 'mail'), ('webhook', 'webhook')], max_length=8)),
                ('target', models.CharField(help_text="Receiver, within which a video's events keep their order.", max_length=40)),
                ('video_id', models.UUIDField()),
                ('state', models.CharField(choices=[('PENDING', 'PENDING'), ('DELIVERED', 'DELIVERED'), ('GIVEN_UP', 'GIVEN_UP')], default='PENDING', max_length=10)),
                ('again', models.BooleanField(db_default=False, default=False, help_text="Sent again by a person: outside of the order of the video's events.")),
                ('tries', models.PositiveIntegerField(db_default=0, default=0)),
                ('next_try_at', models.DateTimeField(blank=True, db_default=django.db.models.functions.datetime.Now(), null=True)),
                ('give_up_at', models.DateTimeField(blank=True, help_text='Set at the first try.', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('status_code', models.PositiveSmallIntegerField(blank=True, help_text='HTTP status of the last try.', null=True)),
                ('duration_s', models.FloatField(blank=True, help_text='Seconds that the last try took.', null=True)),
                ('error', models.CharField(blank=True, db_default='', help_text='Why the last try failed.', max_length=300)),
                ('response', models.CharField(blank=True, db_default='', help_text="Beginning of the response's body.", max_length=500)),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='batchreel.outboxevent')),
                ('endpoint', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='batchreel.webhookendpoint')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state', 'PENDING')), fields=['channel', 'next_try_at'], name='delivery_due'), models.Index(condition=models.Q(('state', 'PENDING')), fields=['target', 'video_id', 'event'], name='delivery_order'), models.Index(fields=['state', '-id'], name='delivery_state_newest')],
                'constraints': [models.UniqueConstraint(fields=('event', 'target'), name='one_delivery_per_event_and_target'), models.CheckConstraint(condition=models.Q(('state__in', ['PENDING', 'DELIVERED', 'GIVEN_UP'])), name='delivery_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('next_try_at__isnull', False), ('state', 'PENDING')), models.Q(('ended_at__isnull', False), ('next_try_at', None), ('state__in', ['DELIVERED', 'GIVEN_UP'])), _connector='OR'), name='delivery_is_due_until_it_ends'), models.CheckConstraint(condition=models.Q(models.Q(('channel', 'webhook'), ('endpoint__isnull', False)), models.Q(models.Q(('channel', 'webhook'), _negated=True), ('endpoint', None)), _connector='OR'), name='webhook_has_endpoint')],
            },
        ),
        migrations.AddIndex(
            model_name='video',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='video_deleted'),
        ),
        migrations.AddIndex(
            model_name='video',
            index=models.Index(condition=models.Q(models.Q(('requested_source', models.F('source')), _negated=True), ('deleted_at', None), ('source_complete', True), models.Q(('source', ''), _negated=True)), fields=['created_at'], name='video_needs_job'),
        ),
        migrations.AddIndex(
            model_name='video',
            index=models.Index(condition=models.Q(('deleted_at', None)), fields=['-created_at'], name='video_shown'),
        ),
        migrations.AddIndex(
            model_name='video',
            index=models.Index(condition=models.Q(('deleted_at', None), ('published_job', None)), fields=['-created_at'], name='video_unpublished'),
        ),
        migrations.AddIndex(
            model_name='video',
            index=models.Index(condition=models.Q(models.Q(('shown_edit', models.F('newest_edit')), _negated=True), ('deleted_at', None), ('published_job__isnull', False)), fields=['edition_failed_at'], name='video_needs_edition'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('next_attempt_at__isnull', False)), fields=['next_attempt_at'], name='job_due'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('next_attempt_at__isnull', False), ('priority', 'upload')), fields=['next_attempt_at'], name='job_due_before_bulk'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('pruned_at', None), ('purged_at', None), ('state__in', ['CANCELLED', 'FAILED', 'SUCCEEDED'])), fields=['finished_at'], name='job_unpruned'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('pruned_at', None), ('purged_at', None), ('state', 'DEAD')), fields=['finished_at'], name='job_dead_unpruned'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('purged_at', None)), fields=['superseded_at'], name='job_superseded'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['-created_at'], name='job_newest'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['state', '-created_at'], name='job_state_newest'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['reason', '-created_at'], name='job_reason_newest'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state__in', ['DEAD', 'QUEUED', 'RETRY_WAIT', 'RUNNING'])), fields=['state', 'priority', 'created_at'], name='job_open'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('fence__gt', 0), ('state__in', ['QUEUED', 'RUNNING'])), fields=['-priority', 'created_at'], name='job_with_container'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('finished_at__isnull', False), ('tallied', False)), fields=['finished_at'], name='job_untallied'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state', 'SUCCEEDED')), fields=['finished_at'], name='job_ready'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('state__in', ['DEAD', 'FAILED'])), fields=['finished_at', 'reason'], name='job_failed'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['QUEUED', 'RUNNING', 'RETRY_WAIT', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'DEAD'])), name='job_state_known'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('priority__in', ['upload', 'bulk'])), name='job_priority_known'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['QUEUED', 'RETRY_WAIT', 'RUNNING'])), fields=('video',), name='one_active_job_per_video'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(condition=models.Q(('automatic', True)), fields=('video', 'source_name', 'profile'), name='one_automatic_job_per_source'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('next_attempt_at__isnull', True), ('state__in', ['QUEUED', 'RETRY_WAIT']), _connector='OR'), name='due_only_when_waiting'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'RETRY_WAIT'), _negated=True), ('next_attempt_at__isnull', False), _connector='OR'), name='retry_wait_has_due_time'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'SUCCEEDED'), _negated=True), models.Q(('finished_at__isnull', False), models.Q(('playlist_key', ''), _negated=True)), _connector='OR'), name='succeeded_has_playlist'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['FAILED', 'DEAD', 'CANCELLED']), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='ended_has_reason'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('state__in', ['RUNNING', 'SUBMITTED', 'SUBMITTING'])), fields=['id'], name='attempt_live'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('counted__isnull', True), ('ended_at__isnull', False)), fields=['ended_at'], name='attempt_undecided'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('batch_job_id__isnull', False), ('ended_at__isnull', False), models.Q(('batch_status__in', ['FAILED', 'SUCCEEDED']), _negated=True)), fields=['ended_at'], name='attempt_without_final_status'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('claimed_at__isnull', False), ('ended_at__isnull', False), models.Q(('stage__in', ('claim', 'reserve', 'await_plan')), _negated=True)), fields=['-ended_at'], name='attempt_worked'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(fields=['state', '-id'], name='attempt_state_newest'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(fields=['reason', '-id'], name='attempt_reason_newest'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('ended_at__isnull', False), ('tallied', False)), fields=['ended_at'], name='attempt_untallied'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(condition=models.Q(('cost_usd__isnull', True)), fields=['id'], name='attempt_without_cost'),
        ),
        migrations.AddIndex(
            model_name='attempt',
            index=models.Index(django.db.models.functions.comparison.Coalesce('started_at', 'claimed_at'), condition=models.Q(('cost_usd__isnull', False)), name='attempt_cost_by_start'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['SUBMITTING', 'SUBMITTED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'LOST', 'CANCELLED'])), name='attempt_state_known'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.UniqueConstraint(fields=('job', 'number'), name='one_attempt_per_fence'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.UniqueConstraint(fields=('batch_job_id',), name='one_attempt_per_batch_job'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state__in', ['RUNNING', 'SUBMITTED', 'SUBMITTING'])), models.Q(('ended_at__isnull', False), models.Q(('state__in', ['RUNNING', 'SUBMITTED', 'SUBMITTING']), _negated=True)), _connector='OR'), name='live_attempt_has_no_end'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'RUNNING'), _negated=True), ('heartbeat_at__isnull', False), _connector='OR'), name='running_has_heartbeat'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['FAILED', 'LOST', 'CANCELLED']), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='attempt_ended_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='attempt_number_from_one'),
        ),
        migrations.AddConstraint(
            model_name='attempt',
            constraint=models.CheckConstraint(condition=models.Q(('helps__isnull', True), models.Q(('helps__gte', 1), ('helps__lt', models.F('number'))), _connector='OR'), name='helper_follows_its_lead'),
        ),
        migrations.AddConstraint(
            model_name='unit',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['PENDING', 'LEASED', 'DONE'])), name='unit_state_known'),
        ),
        migrations.AddConstraint(
            model_name='unit',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['plan', 'video', 'audio', 'publish'])), name='unit_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='unit',
            constraint=models.UniqueConstraint(fields=('job', 'kind', 'index'), name='one_unit_per_place'),
        ),
        migrations.AddConstraint(
            model_name='unit',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'LEASED'), _negated=True), models.Q(models.Q(('lease_id', ''), _negated=True), ('fence__gte', 1)), _connector='OR'), name='leased_has_lease'),
        ),
        migrations.AddConstraint(
            model_name='unit',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'DONE'), _negated=True), ('done_at__isnull', False), _connector='OR'), name='done_has_time'),
        ),
        migrations.AddConstraint(
            model_name='unit',
            constraint=models.CheckConstraint(condition=models.Q(('end_frame__gte', models.F('first_frame'))), name='unit_frames_in_order'),
        ),
        migrations.CreateModel(
            name='Operations',
            fields=[
            ],
            options={
                'verbose_name': 'operations',
                'verbose_name_plural': 'operations',
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('batchreel.job',),
        ),
    ]
