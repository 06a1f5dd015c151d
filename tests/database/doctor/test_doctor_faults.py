"""Doctor reports each injected fault of a healthy system with its fix, and nothing else."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import boto3
import pytest
import redis
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from django.conf import settings as django_settings
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models import F
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from pytest_django import Settings

from tasks.batch.definition import render
from tasks.broker import redis_broker
from tasks.broker.app import celery_app
from tasks.conf import bridge_settings
from tasks.doctor.finding import Finding, Status
from tasks.doctor.parts import PROBES
from tasks.doctor.runner import run_probes
from tasks.models import Attempt, Job, Listener, Tick, Video
from tasks.schedule.sync import sync_entries
from tasks.schedule.ticks import QUEUES, TICKS
from tasks.services.removal.purge import prune_jobs, purge_deleted, purge_superseded
from tasks.services.requests.delete import delete_video
from tasks.services.requests.request import request_again
from tasks.services.state.push import record_read, record_read_error
from tasks.services.ticks.lease import run_tick
from tests.batch_events import BatchEventQueue
from tests.batch_faults import Faults
from tests.buckets import use_new_bucket
from tests.factories import age, claimed, published, submitted_attempt, uploaded_video
from tests.tls_redis import TlsProxy, make_authority
from tests.wakeup_broker import set_broker

pytestmark = pytest.mark.django_db(transaction=True)

FAILED, WARNING = Status.FAILED, Status.WARNING
JOB_QUEUES = "arn:aws:batch:us-east-1:123456789012:job-queue"
DIGEST = f"sha256:{'5c' * 32}"


class Site(NamedTuple):
    """Everything that a fault can be injected into."""

    settings: Settings
    faults: Faults
    tmp_path: Path
    monkeypatch: pytest.MonkeyPatch

    def bridge(self, **changes: object) -> None:
        self.settings.BATCHREEL = {**self.settings.BATCHREEL, **changes}


@pytest.fixture
def site(settings: Settings, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a healthy system.

    Its ticks ran, its job definition is what the code renders, its image has a digest, and hls.js
    is installed.
    """
    batch = boto3.client("batch")
    settings.VIDEO_BATCH_JOB_DEFINITION = f"healthy-{uuid.uuid4().hex[:8]}"
    settings.BATCHREEL = {"image": f"batchreel@{DIGEST}"}
    batch.register_job_definition(**render(bridge_settings(), region=batch.meta.region_name))
    settings.STATIC_ROOT = tmp_path / "static"
    (tmp_path / "static" / "batchreel" / "vendor").mkdir(parents=True)
    (tmp_path / "static" / "batchreel" / "vendor" / "hls.js").touch()
    sync_entries()
    # Other tests have left wake-ups, which no worker has consumed.
    prefix = celery_app().conf.broker_transport_options["global_keyprefix"]
    with redis.Redis.from_url(django_settings.CELERY_BROKER_URL) as client:
        client.delete(*(f"{prefix}{queue}" for queue in QUEUES))
    for tick in TICKS:
        assert run_tick(tick.name, period_s=1, body=lambda _: None)
    return Site(settings, faults, tmp_path, monkeypatch)


def findings() -> dict[str, Finding]:
    """Return doctor's findings that are not OK, by part."""
    return {each.part: each for each in run_probes(PROBES) if each.status is not Status.OK}


# Settings.


def no_queue(site: Site) -> None:
    site.settings.VIDEO_BATCH_JOB_QUEUE = "no-such-queue"


def unknown_setting(site: Site) -> None:
    site.bridge(heartbeat_s=100)


# Database.


@contextmanager
def migration_missing(_: Site) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE app = 'batchreel'"
            " AND name = (SELECT max(name) FROM django_migrations WHERE app = 'batchreel') RETURNING name, applied"
        )
        rows = cursor.fetchall()
    yield
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO django_migrations (app, name, applied) VALUES ('batchreel', %s, %s)", rows)


def row_locks_have_no_timeout(site: Site) -> None:
    site.monkeypatch.setitem(django_settings.DATABASES["default"]["OPTIONS"], "options", "")


def clock_is_wrong(site: Site) -> None:
    slow_clock = SimpleNamespace(now=lambda zone: datetime.now(zone) - timedelta(seconds=90))
    site.monkeypatch.setattr("tasks.doctor.probes.database.datetime", slow_clock)


# Broker, ticks, jobs.


def redis_is_unreachable(site: Site) -> None:
    set_broker(site.monkeypatch, redis_broker("redis://127.0.0.1:1/0"))


@contextmanager
def redis_has_another_authority(site: Site) -> Iterator[None]:
    ours, theirs = make_authority(site.tmp_path), make_authority(site.tmp_path, name="theirs")
    with TlsProxy(django_settings.CELERY_BROKER_URL, theirs).running() as proxy:
        set_broker(site.monkeypatch, redis_broker(proxy.url, ca_file=str(ours.ca_file)))
        yield


def sentinels_are_unreachable(site: Site) -> None:
    set_broker(
        site.monkeypatch, redis_broker("sentinel://127.0.0.1:1/0;sentinel://127.0.0.1:2", sentinel_master="lectures")
    )


def sentinel_master_is_not_named(site: Site) -> None:
    set_broker(site.monkeypatch, redis_broker("sentinel://127.0.0.1:1/0"))


@contextmanager
def redis_evicts(_: Site) -> Iterator[None]:
    client = redis.Redis.from_url(django_settings.CELERY_BROKER_URL)
    before = client.config_get("maxmemory-policy")["maxmemory-policy"]
    client.config_set("maxmemory-policy", "allkeys-lru")
    yield
    client.config_set("maxmemory-policy", before)
    client.close()


@contextmanager
def messages_pile_up(site: Site) -> Iterator[None]:
    options = {**celery_app().conf.broker_transport_options, "global_keyprefix": "doctor-test:"}
    site.monkeypatch.setitem(celery_app().conf, "broker_transport_options", options)
    client = redis.Redis.from_url(django_settings.CELERY_BROKER_URL)
    client.rpush("doctor-test:batchreel.observe", *range(51))
    yield
    client.delete("doctor-test:batchreel.observe")
    client.close()


def beat_is_stopped(_: Site) -> None:
    Tick.objects.filter(name="rescue").update(started_at=None)


def entry_is_missing(_: Site) -> None:
    PeriodicTask.objects.filter(name="batchreel: reap").delete()


def entry_has_another_period(_: Site) -> None:
    other = IntervalSchedule.objects.create(every=600, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(name="batchreel: reap").update(interval=other)


def entry_is_disabled(_: Site) -> None:
    PeriodicTask.objects.filter(name="batchreel: reap").update(enabled=False)


def tick_fails(_: Site) -> None:
    Tick.objects.filter(name="observe").update(error_code="BATCH_DENIED", error_message="DescribeJobs: not allowed")


def job_is_dead(_: Site) -> None:
    uploaded_video()
    Job.objects.update(state="DEAD", next_attempt_at=None, reason="ATTEMPTS_EXHAUSTED")


def attempts_fail_alike(_: Site) -> None:
    fail_attempts("MISCONFIGURED", jobs=1)


def fail_attempts(reason: str, *, jobs: int, attempts: int = 3) -> None:
    """End attempts of new jobs, one second after another, as the observation of an exit code does."""
    firsts = [submitted_attempt(uploaded_video()) for _ in range(jobs)]
    Attempt.objects.all().delete()
    for number in range(attempts):
        attempt = copy(firsts[number % jobs])
        attempt.pk, attempt.number, attempt.state, attempt.reason = None, 1 + number // jobs, "FAILED", reason
        attempt.reason_message, attempt.counted = "AWS: exit code 40", True
        attempt.batch_job_id = attempt.batch_job_name = f"ended-{number}"
        attempt.batch_status = "FAILED"
        attempt.batch_log_stream = f"batchreel/default/{number}"
        attempt.ended_at = datetime.now(UTC) - timedelta(seconds=60 - number)
        attempt.save(force_insert=True)
    Job.objects.update(state="RETRY_WAIT", next_attempt_at=datetime.now(UTC) + timedelta(seconds=60))


def job_is_overdue(_: Site) -> None:
    uploaded_video()
    age(Job, "next_attempt_at", seconds=601)


def attempt_stays_runnable(_: Site) -> None:
    submitted_attempt()
    Attempt.objects.update(
        batch_status="RUNNABLE", batch_status_reason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - no"
    )
    age(Attempt, "created_at", seconds=1801)


@contextmanager
def no_object_can_be_removed(site: Site) -> Iterator[None]:
    def refuse(_: str) -> None:
        message = "the disk is read-only"
        raise OSError(message)

    with site.monkeypatch.context() as patching:
        patching.setattr(default_storage, "delete", refuse)
        yield


def removal_fails(site: Site) -> None:
    video = uploaded_video()
    delete_video(video_id=video.pk)
    with no_object_can_be_removed(site):
        purge_deleted(limit=1)


def removal_was_never_tried(site: Site) -> None:
    video = uploaded_video()
    delete_video(video_id=video.pk)
    Video.objects.update(deleted_at=F("deleted_at") - timedelta(hours=2))


def old_publication_is_still_there(site: Site) -> None:
    video = published()
    request_again(video_id=video.pk)
    published(video)
    age(Job, "superseded_at", seconds=8 * 86400)


def old_publication_cannot_be_removed(site: Site) -> None:
    video = published()
    request_again(video_id=video.pk)
    published(video)
    Attempt.objects.update(batch_status="SUCCEEDED")
    assert prune_jobs(limit=2) == 2
    age(Job, "superseded_at", seconds=8 * 86400)
    with no_object_can_be_removed(site):
        purge_superseded(limit=1)


# Storage.


def storage_cannot_be_written(site: Site) -> None:
    (site.tmp_path / "file").write_text("not a folder")
    site.settings.MEDIA_ROOT = site.tmp_path / "file"


def bucket_is_missing(site: Site) -> None:
    s3, name = use_new_bucket(site.settings)
    s3.delete_bucket(Bucket=name)


# AWS Batch and what it depends on.


def compute(site: Site, *, queue_state: str = "ENABLED", **resources: Any) -> None:
    """Create another queue with a different compute environment, and use it."""
    batch = boto3.client("batch")
    name = f"other-{uuid.uuid4().hex[:8]}"
    template = batch.describe_compute_environments(computeEnvironments=["batchreel"])["computeEnvironments"][0]
    batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        state="ENABLED",
        serviceRole=template["serviceRole"],
        computeResources={**template["computeResources"], **resources},
    )
    order: Any = [{"order": 1, "computeEnvironment": name}]
    batch.create_job_queue(jobQueueName=name, state=queue_state, priority=1, computeEnvironmentOrder=order)
    site.settings.VIDEO_BATCH_JOB_QUEUE = name


def ec2(site: Site, *instance_types: str, disk_gib: int = 200, image: dict[str, Any] | None = None) -> None:
    """Use EC2 compute with these instance types, and with disk and AMI in order unless others are given."""
    iam = boto3.client("iam")
    name = f"instance-{uuid.uuid4().hex[:8]}"
    iam.create_instance_profile(InstanceProfileName=name)
    profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Arn"]
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": disk_gib}}
    template = boto3.client("ec2").create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"BlockDeviceMappings": [disk]}
    )
    compute(
        site,
        type="EC2",
        minvCpus=0,
        instanceTypes=list(instance_types),
        instanceRole=profile,
        launchTemplate={
            "launchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"],
            "version": "1",
        },
        ec2Configuration=[{"imageType": "ECS_AL2023", **(image or {"batchImageStatus": "LATEST"})}],
    )


def queue_is_disabled(site: Site) -> None:
    compute(site, queue_state="DISABLED")


def compute_is_too_small(site: Site) -> None:
    compute(site, maxvCpus=1)


def compute_is_updating(site: Site) -> None:
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def update(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        response = original(client, operation, arguments)
        if operation == "DescribeComputeEnvironments":
            response["computeEnvironments"][0]["status"] = "UPDATING"
        return response

    site.monkeypatch.setattr(BaseClient, "_make_api_call", update)


def instances_are_too_small(site: Site) -> None:
    site.bridge(vcpus=8, memory_mib=16384)
    boto3.client("batch").register_job_definition(**render(bridge_settings(), region="us-east-1"))
    ec2(site, "c5.large", "c5.xlarge")


def memory_leaves_vcpus_idle(site: Site) -> None:
    site.bridge(memory_mib=4096)
    register_again(site)
    ec2(site, "c6i.large", "c6i.2xlarge", "m6i.2xlarge")


def disk_is_too_small_for_its_vcpus(site: Site) -> None:
    ec2(site, "c6i.large", "c6i")


def disk_is_too_small_for_the_largest_upload(site: Site) -> None:
    ec2(site, "c6i.large", disk_gib=60)


def machine_image_has_a_newer_one(site: Site) -> None:
    ec2(site, "c6i.large", image={"batchImageStatus": "UPDATE_AVAILABLE"})


def machine_image_is_old(site: Site) -> None:
    client = boto3.client("ec2")
    image_id = client.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    ec2(site, "c6i.large", image={"imageIdOverride": image_id})
    later = SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(days=61))
    site.monkeypatch.setattr("tasks.doctor.probes.compute.datetime", later)


def machine_image_is_gone(site: Site) -> None:
    ec2(site, "c6i.large", image={"imageIdOverride": "ami-0123456789abcdef0"})


def machine_reads_are_denied(site: Site) -> None:
    ec2(site, "c6i.large", image={"imageIdOverride": "ami-0123456789abcdef0"})
    deny_calls(site, "DescribeImages")


def architectures_are_mixed(site: Site) -> None:
    ec2(site, "c5", "c6g")


def definition_is_missing(site: Site) -> None:
    site.settings.VIDEO_BATCH_JOB_DEFINITION = "no-such-definition"


def definition_has_drifted(site: Site) -> None:
    batch = boto3.client("batch")
    drifted = render(bridge_settings(), region=batch.meta.region_name)
    drifted["timeout"] = {"attemptDurationSeconds": 60}
    batch.register_job_definition(**drifted)


def command_is_missing(site: Site) -> None:
    batch = boto3.client("batch")
    old = render(bridge_settings(), region=batch.meta.region_name)
    old["containerProperties"]["command"] = ["python", "-m", "tasks.missing", "Ref::job_id"]
    batch.register_job_definition(**old)


def register_again(site: Site) -> None:
    boto3.client("batch").register_job_definition(**render(bridge_settings(), region="us-east-1"))
    assert site.settings.BATCHREEL


def image_has_no_digest(site: Site) -> None:
    site.bridge(image="batchreel:latest")
    register_again(site)


def ecr_image(site: Site, *architectures: str) -> str:
    """Create an image in ECR for these architectures, and return its digest."""
    ecr = boto3.client("ecr")
    repository = f"batchreel-{uuid.uuid4().hex[:8]}"
    account = ecr.create_repository(repositoryName=repository)["repository"]["registryId"]
    digest = DIGEST
    if architectures:
        layer = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1, "digest": DIGEST}
        listed = [{**layer, "platform": {"os": "linux", "architecture": each}} for each in architectures]
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": listed}
        put = ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag="7")
        digest = put["image"]["imageId"]["imageDigest"]
    site.bridge(image=f"{account}.dkr.ecr.us-east-1.amazonaws.com/{repository}@{digest}")
    register_again(site)
    return digest


def image_is_missing(site: Site) -> None:
    ecr_image(site)


def image_is_for_another_architecture(site: Site) -> None:
    ecr_image(site, "arm64")
    ec2(site, "c5.large")


def reads_are_denied(site: Site) -> None:
    site.faults.inject("deny", operation="DescribeJobs", times=None)


def submits_are_denied(site: Site) -> None:
    site.faults.inject("deny", operation="SubmitJob", times=None)


def multipart_uploads_are_denied(site: Site) -> None:
    use_new_bucket(site.settings)
    deny_calls(site, "CreateMultipartUpload")


def prices_are_denied(site: Site) -> None:
    deny_calls(site, "DescribeSpotPriceHistory", code="UnauthorizedOperation")


def deny_calls(site: Site, denied: str, *, code: str = "AccessDenied") -> None:
    """Answer every call of one operation as AWS does if no policy allows it."""
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def deny(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation != denied:
            return original(client, operation, arguments)
        response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(response, operation)

    site.monkeypatch.setattr(BaseClient, "_make_api_call", deny)


# Events.


@contextmanager
def events_arrive(site: Site, *, visibility_s: int = 60) -> Iterator[BatchEventQueue]:
    """Use a healthy queue of events, which a listener has just read."""
    queue = BatchEventQueue(visibility_s=visibility_s)
    site.settings.VIDEO_BATCH_EVENT_QUEUE_URL = queue.url
    record_read(announced=True, oldest_s=0.5)
    yield queue
    queue.remove()


@contextmanager
def event_rule_is_missing(site: Site) -> Iterator[None]:
    with events_arrive(site) as queue:
        queue.events.remove_targets(Rule=f"{queue.name}-spot", Ids=["queue"])
        yield


@contextmanager
def event_rule_is_disabled(site: Site) -> Iterator[None]:
    with events_arrive(site) as queue:
        queue.events.disable_rule(Name=f"{queue.name}-batch")
        yield


@contextmanager
def event_rule_leaves_out_a_job_queue(site: Site) -> Iterator[None]:
    with events_arrive(site) as queue:
        queue.match(jobQueue=[f"{JOB_QUEUES}/batchreel-old", f"{JOB_QUEUES}/other"])
        yield


@contextmanager
def event_rules_may_not_send(site: Site) -> Iterator[None]:
    with events_arrive(site) as queue:
        queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": ""})
        yield


@contextmanager
def event_queue_is_missing(site: Site) -> Iterator[None]:
    with events_arrive(site) as queue:
        site.settings.VIDEO_BATCH_EVENT_QUEUE_URL = f"{queue.url}-missing"
        yield


@contextmanager
def event_queue_is_denied(site: Site) -> Iterator[None]:
    with events_arrive(site):
        deny_calls(site, "GetQueueAttributes")
        yield


@contextmanager
def event_is_in_progress_for_too_long(site: Site) -> Iterator[None]:
    with events_arrive(site, visibility_s=50):
        yield


@contextmanager
def dead_letters_are_filled(site: Site) -> Iterator[None]:
    with events_arrive(site) as queue:
        queue.sqs.send_message(QueueUrl=queue.dead_url, MessageBody="not JSON")
        yield


@contextmanager
def listener_was_never_started(site: Site) -> Iterator[None]:
    with events_arrive(site):
        Listener.objects.all().delete()
        yield


@contextmanager
def listener_is_dead(site: Site) -> Iterator[None]:
    with events_arrive(site):
        Listener.objects.update(seen_at=F("seen_at") - timedelta(seconds=90))
        yield


@contextmanager
def listener_is_denied(site: Site) -> Iterator[None]:
    with events_arrive(site):
        record_read_error(code="BATCH_DENIED", message="ReceiveMessage: not allowed")
        yield


@contextmanager
def events_are_old(site: Site) -> Iterator[None]:
    with events_arrive(site):
        record_read(announced=True, oldest_s=90)
        yield


@contextmanager
def events_do_not_arrive(site: Site) -> Iterator[None]:
    with events_arrive(site):
        claimed(submitted_attempt())
        age(Attempt, "claimed_at", seconds=90)
        Listener.objects.update(event_at=F("event_at") - timedelta(hours=1))
        yield


# Media and legacy settings.


def ffmpeg_does_not_run(site: Site) -> None:
    site.monkeypatch.setenv("FFMPEG_BINARY", "/no/such/binary")


def player_is_missing(site: Site) -> None:
    (site.tmp_path / "static" / "batchreel" / "vendor" / "hls.js").unlink()
    site.settings.STATICFILES_DIRS = []


def legacy_setting_remains(site: Site) -> None:
    site.monkeypatch.setenv("VIDEO_SQS_QUEUE_NAME", "videos")


def legacy_entry_remains(_: Site) -> None:
    every, _made = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    PeriodicTask.objects.create(name="stuck", task="video.scan_stuck_video_jobs", interval=every)


Plant = Callable[[Site], Any]

FAULTS: list[tuple[Plant, str, Status, str, str]] = [
    (no_queue, "queue", FAILED, "has no queue no-such-queue", "VIDEO_BATCH_JOB_QUEUE"),
    (unknown_setting, "settings", FAILED, "batchreel.E010", "heartbeat_s"),
    (migration_missing, "migrations", FAILED, "batchreel.00", "manage.py migrate"),
    (row_locks_have_no_timeout, "row locks", WARNING, "locked forever", "idle_in_transaction_session_timeout"),
    (clock_is_wrong, "clock", WARNING, "90 s ahead", "time server"),
    (redis_is_unreachable, "broker", FAILED, "Redis is unavailable", "REDIS_URL"),
    (redis_has_another_authority, "broker", FAILED, "CERTIFICATE_VERIFY_FAILED", "REDIS_CA_FILE"),
    (sentinels_are_unreachable, "broker", FAILED, "127.0.0.1:2: Error 111", "REDIS_URL"),
    (sentinel_master_is_not_named, "broker", FAILED, "ValueError", "manage.py check"),
    (redis_evicts, "broker", FAILED, "allkeys-lru", "noeviction"),
    (messages_pile_up, "messages", WARNING, "51 in batchreel.observe", "worker -Q batchreel.observe"),
    (beat_is_stopped, "tick rescue", FAILED, "never run", "celery -A project beat"),
    (entry_is_missing, "tick reap", FAILED, "no beat entry", "sync_schedule"),
    (entry_has_another_period, "tick reap", FAILED, "every 600 seconds, but the settings require", "Restart beat"),
    (entry_is_disabled, "tick reap", WARNING, "disabled", "Enable it in the admin"),
    (tick_fails, "tick observe", FAILED, "DescribeJobs: not allowed", "Fix the cause"),
    (attempts_fail_alike, "attempts", FAILED, "The last 3 ended with MISCONFIGURED: AWS: exit", "batchreel/default/2"),
    (job_is_dead, "jobs", WARNING, "1 for ATTEMPTS_EXHAUSTED", "revive"),
    (job_is_overdue, "due jobs", FAILED, "not submitted", "submit_limit"),
    (removal_fails, "removal", WARNING, "the disk is read-only", "PURGE_FAILED"),
    (removal_was_never_tried, "removal", WARNING, "1 deleted videos", "tick purge"),
    (old_publication_is_still_there, "removal", WARNING, "1 superseded publications", "tick purge"),
    (old_publication_cannot_be_removed, "removal", WARNING, "the disk is read-only", "PURGE_FAILED"),
    (event_rule_is_missing, "event rules", FAILED, "EC2 Spot Instance Interruption Warning", "events.tf"),
    (event_rule_is_disabled, "event rules", FAILED, "is disabled", "EventBridge"),
    (event_rule_leaves_out_a_job_queue, "event rules", FAILED, "sends the events of batchreel to", "detail.jobQueue"),
    (event_rules_may_not_send, "event rules", FAILED, "policy does not let EventBridge send", "aws:SourceArn"),
    (event_queue_is_missing, "event queue", Status.UNKNOWN, "does not exist", "setting"),
    (event_queue_is_denied, "event queue", FAILED, "AccessDenied", "roles.tf"),
    (event_is_in_progress_for_too_long, "event queue", FAILED, "50 s", "visibility timeout"),
    (dead_letters_are_filled, "dead letters", WARNING, "1 events could not", "EVENT_FAILED"),
    (listener_was_never_started, "listener", FAILED, "ever read", "manage.py listen"),
    (listener_is_dead, "listener", FAILED, " s ago", "manage.py listen"),
    (listener_is_denied, "listener", FAILED, "ReceiveMessage: not allowed", "roles.tf"),
    (events_are_old, "listener", WARNING, "more than 60 s", "more listeners"),
    (events_do_not_arrive, "listener", FAILED, "no events arrive", "rule"),
    (attempt_stays_runnable, "starting", WARNING, "JOB_RESOURCE_REQUIREMENT", "compute environment"),
    (storage_cannot_be_written, "storage", FAILED, "Cannot be used", "MEDIA_ROOT"),
    (bucket_is_missing, "storage", FAILED, "NoSuchBucket", "STORAGE_BUCKET"),
    (queue_is_disabled, "queue", FAILED, "DISABLED", "Enable it"),
    (compute_is_too_small, "compute", FAILED, "at most 1 vCPUs", "maxvCpus"),
    (compute_is_updating, "compute", WARNING, "is UPDATING", "last container"),
    (instances_are_too_small, "instance types", FAILED, "c5.large, c5.xlarge", "larger size"),
    (
        memory_leaves_vcpus_idle,
        "instance types",
        WARNING,
        "c6i.large has room for 0 of 1, c6i.2xlarge",
        "to 3756 or less",
    ),
    (disk_is_too_small_for_its_vcpus, "machine disk", WARNING, "has room for 15 of 64 containers", "scratch_gib"),
    (disk_is_too_small_for_the_largest_upload, "machine disk", WARNING, "largest upload", "upload_limit_bytes"),
    (machine_image_has_a_newer_one, "machine image", WARNING, "newer AMI", "updateToLatestImageVersion"),
    (machine_image_is_old, "machine image", WARNING, "61 days old", "terraform apply"),
    (machine_image_is_gone, "machine image", FAILED, "no machine can start", "terraform apply"),
    (machine_reads_are_denied, "machine image", WARNING, "Not checked: DescribeImages", "policy"),
    (architectures_are_mixed, "instance types", FAILED, "mixes amd64 and arm64", "one architecture"),
    (definition_is_missing, "definition", FAILED, "no active job definition", "register_job_definition"),
    (definition_has_drifted, "definition", FAILED, "timeout", "register_job_definition"),
    (command_is_missing, "command", FAILED, "tasks.missing", "register_job_definition"),
    (image_has_no_digest, "image", WARNING, "uses a tag", "digest"),
    (image_is_missing, "image", FAILED, "CannotPullContainerError", "Push it"),
    (image_is_for_another_architecture, "image", FAILED, "exec format error", "--platform"),
    (reads_are_denied, "permissions", FAILED, "batch:DescribeJobs is denied", "roles.tf"),
    (multipart_uploads_are_denied, "permissions", FAILED, "s3: multipart upload is denied", "roles.tf"),
    (prices_are_denied, "permissions", WARNING, "ec2:DescribeSpotPriceHistory is denied, so costs are", "roles.tf"),
    (submits_are_denied, "permissions", FAILED, "batch:SubmitJob is denied", "roles.tf"),
    (ffmpeg_does_not_run, "ffmpeg", FAILED, "does not run", "FFMPEG_BINARY"),
    (player_is_missing, "player", WARNING, "not installed", "collectstatic"),
    (legacy_setting_remains, "legacy", WARNING, "VIDEO_SQS_QUEUE_NAME", "docs/migrating.md"),
    (legacy_entry_remains, "legacy", WARNING, "stuck", "docs/migrating.md"),
]

FURTHER_FINDINGS: dict[Plant, set[str]] = {
    # A missing command also makes the registered definition differ.
    command_is_missing: {"definition"},
    # A system check names it, too.
    sentinel_master_is_not_named: {"settings"},
}
"""Other parts that doctor rightly reports for a fault."""


def test_check_finds_nothing_when_everything_is_good(site: Site) -> None:
    assert site.settings
    assert findings() == {}
    with events_arrive(site) as queue:
        assert findings() == {}
        queue.match(jobQueue=[f"{JOB_QUEUES}/other", f"{JOB_QUEUES}/{site.settings.VIDEO_BATCH_JOB_QUEUE}"])
        assert findings() == {}
        # Patterns may have filters, which only EventBridge applies.
        queue.match(jobQueue=[{"prefix": JOB_QUEUES}], status=[{"anything-but": "SUBMITTED"}])
        assert findings() == {}


@pytest.mark.few(20)
@pytest.mark.parametrize(("plant", "part", "status", "why", "fix"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_doctor_reports_a_fault_and_its_fix_when_it_is_injected(
    *, plant: Plant, part: str, status: Status, why: str, fix: str, site: Site
) -> None:
    with plant(site) or nullcontext():
        found = findings()
    assert found.keys() == {part} | FURTHER_FINDINGS.get(plant, set()), found
    assert found[part].status is status
    assert why in found[part].why
    assert fix in found[part].fix


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("reason", "jobs", "attempts", "is_reported"),
    [
        ("MISCONFIGURED", 1, 2, False),
        ("OUT_OF_MEMORY", 1, 3, False),
        ("OUT_OF_MEMORY", 3, 3, True),
        ("INPUT_REJECTED", 3, 3, False),
        ("SPOT_INTERRUPTION", 3, 3, False),
        ("START_FAILED", 1, 3, True),
    ],
)
def test_attempts_that_failed_alike_are_reported_only_when_no_file_can_be_the_cause(
    *, reason: str, jobs: int, attempts: int, is_reported: bool, site: Site
) -> None:
    assert site.settings
    fail_attempts(reason, jobs=jobs, attempts=attempts)
    assert ("attempts" in findings()) is is_reported


def test_attempts_are_not_reported_when_the_newest_succeeded_or_a_day_has_passed(site: Site) -> None:
    assert site.settings
    fail_attempts("MISCONFIGURED", jobs=1, attempts=4)
    newest = Attempt.objects.latest("ended_at")
    assert "attempts" in findings()
    Attempt.objects.filter(pk=newest.pk).update(state="SUCCEEDED", reason="")
    assert "attempts" not in findings()
    Attempt.objects.filter(pk=newest.pk).update(state="FAILED", reason="MISCONFIGURED")
    age(Attempt, "ended_at", seconds=86_400)
    assert "attempts" not in findings()
