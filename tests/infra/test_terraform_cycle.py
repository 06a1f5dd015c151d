"""Terraform's full cycle on a local AWS endpoint: apply, an empty plan, a site on the created resources, destroy."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from django.conf import settings as django_settings
from django.db import OperationalError

from project.local.aws.server import start_aws, wait_for_aws
from project.local.servers.ports import LOOPBACK, free_port
from tasks.batch.definition_diff import differences
from tasks.batch.event_queue import VISIBILITY_TIMEOUT_S
from tasks.metrics.log_line import DIMENSION
from tasks.models import Attempt, Job, Video
from tasks.services.requests.cancel import cancel_job
from tasks.services.requests.delete import delete_video
from tests.infra.terraform_runs import Terraform
from tests.infra.test_machine_user_data import user_data
from tests.integration.celery_nodes import beat_process, listener_process, worker_process
from tests.integration.container_processes import container_pid
from tests.integration.fast_settings import FAST_SETTINGS
from tests.media.clips import make_clip
from tests.polling import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-central-1"
NAME = "lectures"
ACCOUNT_ID = "123456789012"

# All of them use the database, although most need not: pytest-django groups such tests, so one
# apply serves them all.
pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.django_db(transaction=True)]

UPLOAD = """
import sys
import django
django.setup()
from pathlib import Path
from django.core.files import File
from tasks.models import Video
for path in map(Path, sys.argv[1:]):
    video = Video(title=path.name)
    with path.open("rb") as content:
        video.source.save(path.name, File(content))
    print(video.pk)
"""

UPLOAD_IN_PARTS = """
import sys, urllib.request
import django
django.setup()
from pathlib import Path
from tasks.storage.aliases import sources_bucket
from tasks.services.requests.direct_upload import begin_direct_upload, complete_direct_upload
path, bucket = Path(sys.argv[1]), sources_bucket()
upload = begin_direct_upload(
    bucket=bucket, owner=None, title="", name=path.name, size_bytes=path.stat().st_size, content_type="video/mp4"
)
assert upload.parts == 1
url = bucket.presigned_part_url(str(upload.video.source), upload.upload_id, 1, size_bytes=upload.size_bytes)
plain = {"Content-Type": "application/octet-stream"}
part = urllib.request.Request(url, data=path.read_bytes(), method="PUT", headers=plain)
urllib.request.urlopen(part, timeout=30).close()
complete_direct_upload(bucket=bucket, video_id=upload.video_id)
print(upload.video_id)
"""
"""Uploads as a browser does: its PUT goes to the bucket through presigned URLs."""

IMAGE = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []})
IMAGE_DIGEST = f"sha256:{hashlib.sha256(IMAGE.encode()).hexdigest()}"


RECORDER = Path(__file__).with_name("recorded_calls")

ALLOWED_BY = {
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:ListParts": "s3:ListMultipartUploadParts",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
}
"""The IAM action of a call, if its name differs (Amazon S3: required permissions for API operations)."""


READ_LOG = """
import sys
import django
django.setup()
from tasks.batch.logs import log_tail
from tasks.models import Attempt
print(log_tail(Attempt.objects.get(job__video=sys.argv[1]).batch_log_stream))
"""

IMPLIED = {
    # Required by SubmitJob with tags.
    "site": {"batch:TagResource"},
    # Without ListBucket, S3 answers 403 for an object that does not exist. AbortMultipartUpload is
    # for multipart uploads that fail.
    "container": {"s3:ListBucket", "s3:AbortMultipartUpload"},
}
"""Actions that are allowed although no call has their name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A site that Terraform has created."""

    terraform: Terraform
    outputs: dict[str, Any]
    environment: dict[str, str]
    """The environment of the site's programs."""
    folder: Path

    def client(self, service: str) -> Any:
        """Return a client of the endpoint in which the site was created."""
        return boto3.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"], region_name=REGION)  # type: ignore[call-overload] # any service

    def policy(self, role: str) -> list[dict[str, Any]]:
        """Return the statements of a role's inline policy in IAM, with actions and resources as lists."""
        document = self.client("iam").get_role_policy(RoleName=f"{NAME}-{role}", PolicyName=role)["PolicyDocument"]
        return [
            {
                **each,
                **{key: [each[key]] if isinstance(each[key], str) else each[key] for key in ("Action", "Resource")},
            }
            for each in document["Statement"]
        ]

    def actions(self, role: str) -> set[str]:
        """Return all actions that the role allows."""
        return {action for statement in self.policy(role) for action in statement["Action"]}

    def called(self, who: str) -> set[str]:
        """Return the actions of all boto3 calls that the site's programs or the containers (`who`) have made."""
        calls = set((self.folder / f"{who}.calls").read_text().split())
        return {ALLOWED_BY.get(call, call) for call in calls}

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py as the site would."""
        return self.run("manage.py", *arguments)

    def upload(self, code: str, path: Path) -> uuid.UUID:
        """Upload a file as the site would, with this code, and return the video's id."""
        uploaded = self.run("-c", code, str(path))
        assert uploaded.returncode == 0, uploaded.stderr
        return uuid.UUID(uploaded.stdout.strip())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python as the site would."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=django_settings.BASE_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory, program_environment: dict[str, str]) -> Iterator[Applied]:
    """Yield an applied site; destroy it afterwards and check that nothing remains."""
    folder = tmp_path_factory.mktemp("terraform")
    port = free_port()
    aws = {"AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}", "AWS_DEFAULT_REGION": REGION}
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret"
    variables = {
        "name": NAME,
        "region": REGION,
        "image_digest": IMAGE_DIGEST,
        "secret_arns": {"DATABASE_URL": f"{secret}:database-AbCdEf"},
        "bridge_settings": {
            name: value for name, value in FAST_SETTINGS.items() if name not in ("vcpus", "memory_mib")
        },
        "vcpus": FAST_SETTINGS["vcpus"],
        "memory_mib": FAST_SETTINGS["memory_mib"],
        "site_origins": ["https://video.example.org"],
        "source_retention_days": 60,
        "alarm_email": "operators@example.org",
        "local_endpoint": True,
        "destroy_data": True,
    }
    terraform = Terraform(folder, variables=variables, environment=aws)
    # Local containers inherit from the endpoint what the image and the definition's secrets would
    # provide.
    environment = {
        **program_environment,
        **aws,
        "LOG_FORMAT": "json",
        "STORAGE_BUCKET": f"{NAME}-{ACCOUNT_ID}-{REGION}",
        "BATCHREEL": json.dumps(FAST_SETTINGS | {"job_name_prefix": NAME}),
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        "PYTHONPATH": str(RECORDER),
        "RECORDED_CALLS": str(folder / "container.calls"),
    }
    with (folder / "lock").open("w") as lock:
        service = start_aws(folder, port=port, environment=environment, lock_descriptor=lock.fileno())
        try:
            wait_for_aws(service, port)
            terraform.run_checked("apply", "-auto-approve", "-input=false")
            outputs = terraform.outputs()
            push_image(aws["AWS_ENDPOINT_URL"])
            more = {
                "MEDIA_BASE_URL": "https://cdn.example.org",
                "PYTHONPATH": str(RECORDER),
                "RECORDED_CALLS": str(folder / "site.calls"),
            }
            site = {**program_environment, **aws, **more, **outputs["site_environment"]}
            yield Applied(terraform=terraform, outputs=outputs, environment=site, folder=folder)
            terraform.run_checked("destroy", "-auto-approve", "-input=false")
            assert "values" not in json.loads(terraform.run_checked("show", "-json"))
            assert remaining_resources(aws["AWS_ENDPOINT_URL"]) == []
        finally:
            service.stop()


def push_image(endpoint_url: str) -> None:
    """Put a manifest in place of the image, so that applying does not need Docker."""
    ecr = boto3.client("ecr", endpoint_url=endpoint_url, region_name=REGION)
    put = ecr.put_image(repositoryName=NAME, imageManifest=IMAGE, imageTag="first", imageDigest=IMAGE_DIGEST)
    assert put["image"]["imageId"]["imageDigest"] == IMAGE_DIGEST


def remaining_resources(endpoint_url: str) -> list[str]:
    """Return the names of the endpoint's resources that belong to the site."""

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=endpoint_url, region_name=REGION)  # type: ignore[call-overload] # any service

    batch, iam, ec2 = client("batch"), client("iam"), client("ec2")
    tagged = {"Filters": [{"Name": "tag:application", "Values": [NAME]}]}
    names = [
        *(each["jobQueueName"] for each in batch.describe_job_queues()["jobQueues"]),
        *(each["computeEnvironmentName"] for each in batch.describe_compute_environments()["computeEnvironments"]),
        *(each["jobDefinitionName"] for each in batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]),
        *(each["Name"] for each in client("s3").list_buckets()["Buckets"]),
        *(each["repositoryName"] for each in client("ecr").describe_repositories()["repositories"]),
        *(each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]),
        *(each["AlarmName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]),
        *(each["TopicArn"] for each in client("sns").list_topics()["Topics"]),
        *(each["Name"] for each in client("events").list_rules()["Rules"]),
        *client("sqs").list_queues().get("QueueUrls", ()),
        *(each["Name"] for each in client("ssm").describe_parameters()["Parameters"]),
        *(each["RoleName"] for each in iam.list_roles()["Roles"]),
        *(each["InstanceProfileName"] for each in iam.list_instance_profiles()["InstanceProfiles"]),
        *(each["LaunchTemplateName"] for each in ec2.describe_launch_templates()["LaunchTemplates"]),
        *(each["VpcId"] for each in ec2.describe_vpcs(**tagged)["Vpcs"]),
    ]
    return [name for name in names if NAME in name or name.startswith("vpc-")]


def test_terraform_plan_is_empty_when_everything_was_applied(applied: Applied) -> None:
    planned = applied.terraform.run("plan", "-input=false", "-detailed-exitcode")
    assert planned.returncode == 0, planned.stdout[-4000:] + planned.stderr


def test_definition_matches_the_code_when_terraform_registered_it(applied: Applied) -> None:
    dry_run = applied.manage("register_job_definition", "--dry-run")
    assert dry_run.stdout == f"{NAME}-transcode:1 matches what the code renders; nothing to do.\n", dry_run.stderr
    registered = applied.client("batch").describe_job_definitions(jobDefinitionName=f"{NAME}-transcode")
    assert differences(registered=registered["jobDefinitions"][0], rendered={}), (
        "the comparison finds no differences at all"
    )


def test_queue_falls_back_to_on_demand_when_spot_has_no_capacity(applied: Applied) -> None:
    batch = applied.client("batch")
    order = batch.describe_job_queues(jobQueues=[NAME])["jobQueues"][0]["computeEnvironmentOrder"]
    names = [each["computeEnvironment"] for each in sorted(order, key=lambda each: each["order"])]
    kinds = [
        batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"][0]["computeResources"]
        for name in names
    ]
    assert [each["type"] for each in kinds] == ["SPOT", "EC2"]
    assert kinds[0]["allocationStrategy"] == "SPOT_CAPACITY_OPTIMIZED"
    assert len(kinds[0]["instanceTypes"]) >= 3


def test_leads_never_wait_behind_helpers_when_queues_share_machines(applied: Applied) -> None:
    batch = applied.client("batch")
    queues = {each["jobQueueName"]: each for each in batch.describe_job_queues()["jobQueues"]}
    assert {name: each["priority"] for name, each in queues.items()} == {
        NAME: 10,
        f"{NAME}-helpers": 1,
        f"{NAME}-on-demand": 10,
    }
    environments = {name: len(each["computeEnvironmentOrder"]) for name, each in queues.items()}
    assert environments == {NAME: 2, f"{NAME}-helpers": 1, f"{NAME}-on-demand": 1}
    site = applied.outputs["site_environment"]
    assert (site["VIDEO_BATCH_HELPER_QUEUE"], site["VIDEO_BATCH_ON_DEMAND_QUEUE"]) == (
        f"{NAME}-helpers",
        f"{NAME}-on-demand",
    )


def test_machines_are_updated_in_place_when_the_configuration_changes(applied: Applied, tmp_path: Path) -> None:
    # Replacing an environment would terminate all running containers.
    image, types, disk = (
        "-var=machine_image_id=ami-0123456789abcdef0",
        '-var=instance_types=["c6i.large","c6a.large","c7i.large"]',
        "-var=scratch_gib=300",
    )
    applied.terraform.run_checked("plan", "-input=false", f"-out={tmp_path / 'planned'}", image, types, disk)
    planned = json.loads(applied.terraform.run_checked("show", "-json", str(tmp_path / "planned")))
    changes = {each["address"]: each["change"] for each in planned["resource_changes"]}
    environments = {
        address: change["actions"]
        for address, change in changes.items()
        if address.startswith("aws_batch_compute_environment")
    }
    assert environments == {
        f'aws_batch_compute_environment.machines["{name}"]': ["update"] for name in ("spot", "on-demand")
    }
    assert changes["aws_launch_template.machine"]["actions"] == ["update"]


def test_machines_get_image_disk_and_user_data_when_they_are_applied(applied: Applied) -> None:
    parameter = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    image_id = applied.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    environments = [
        each["computeResources"]
        for each in applied.client("batch").describe_compute_environments()["computeEnvironments"]
        if each["computeEnvironmentName"].startswith(NAME)
    ]
    assert {each["ec2Configuration"][0]["imageIdOverride"] for each in environments} == {image_id}
    template = {"LaunchTemplateId": environments[0]["launchTemplate"]["launchTemplateId"], "Versions": ["$Latest"]}
    versions = applied.client("ec2").describe_launch_template_versions(**template)["LaunchTemplateVersions"]
    data = versions[0]["LaunchTemplateData"]
    disk = data["BlockDeviceMappings"][0]["Ebs"]
    assert (disk["VolumeSize"], disk["Throughput"], disk["VolumeType"]) == (148, 250, "gp3")
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert base64.b64decode(data["UserData"]).decode() == user_data()


def test_role_policies_allow_only_listed_actions_when_they_are_applied(applied: Applied) -> None:
    assert applied.actions("site") == {
        *("batch:SubmitJob", "batch:TagResource", "batch:TerminateJob", "batch:DescribeJobs", "batch:ListJobs"),
        *("batch:DescribeJobQueues", "batch:DescribeComputeEnvironments", "batch:DescribeJobDefinitions"),
        *("logs:GetLogEvents", "s3:ListBucket", "s3:GetObject", "s3:DeleteObject", "s3:PutObject"),
        *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "ec2:DescribeSubnets", "ecr:BatchGetImage"),
        *("ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeImages"),
        *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
        *("events:ListRuleNamesByTarget", "events:DescribeRule"),
        *("ecs:DescribeContainerInstances", "ec2:DescribeSpotPriceHistory", "pricing:GetProducts"),
    }
    storage = {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"}
    assert applied.actions("container") == storage
    assert applied.actions("execution") == {
        *("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"),
        *("ecr:GetDownloadUrlForLayer", "logs:CreateLogStream", "logs:PutLogEvents"),
        *("secretsmanager:GetSecretValue", "ssm:GetParameters"),
    }
    everything = [
        action
        for role in ("site", "container", "execution")
        for statement in applied.policy(role)
        if statement["Resource"] == ["*"]
        for action in statement["Action"]
    ]
    unscoped = [action for action in everything if not action.partition(":")[2].startswith(("Describe", "List"))]
    assert sorted(unscoped) == ["ecr:GetAuthorizationToken", "pricing:GetProducts"]


def test_site_policy_is_limited_to_its_own_jobs_when_it_is_applied(applied: Applied) -> None:
    statements = {each["Sid"]: each for each in applied.policy("site")}
    batch = f"arn:aws:batch:{REGION}:{ACCOUNT_ID}"
    definition = f"{batch}:job-definition/{NAME}-transcode"
    queues = {f"{batch}:job-queue/{NAME}{suffix}" for suffix in ("", "-helpers", "-on-demand")}
    assert set(statements["Submit"]["Resource"]) == {*queues, definition, f"{definition}:*"}
    assert statements["Terminate"]["Condition"] == {"StringEquals": {"aws:ResourceTag/application": NAME}}
    assert statements["TagOnSubmit"]["Condition"] == {"StringEquals": {"aws:RequestTag/application": NAME}}


def test_bucket_is_private_and_expires_uploads_when_it_is_applied(applied: Applied) -> None:
    s3, bucket = applied.client("s3"), applied.outputs["bucket"]
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    rules = {each["ID"]: each for each in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert rules["abandoned-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    assert rules["sources"]["Expiration"]["Days"] == 60


def test_video_is_transcoded_when_the_site_uses_terraforms_resources(applied: Applied, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "lecture.mp4", frames=20, rate="10")
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(os.urandom(4096))
    synced = applied.manage("sync_schedule")
    assert synced.returncode == 0, synced.stderr
    worker, beat, listener = (
        start(applied.environment, tmp_path) for start in (worker_process, beat_process, listener_process)
    )
    try:
        good, bad = (applied.upload(code, path) for code, path in ((UPLOAD_IN_PARTS, clip), (UPLOAD, damaged)))
        ended = {good: "SUCCEEDED", bad: "FAILED"}

        def poll() -> bool:
            return dict(Job.objects.values_list("video_id", "state")) == ended

        wait_for(poll, limit_s=120, what="the end of both jobs")
        doctor = applied.manage("doctor", "--from-batch")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
        assert applied.run("-c", READ_LOG, str(good)).returncode == 0
        delete_video(video_id=bad)
        wait_for(lambda: not Video.objects.filter(pk=bad).exists(), limit_s=60, what="the purge of the deleted video")
        wait_for(
            lambda: not Attempt.objects.filter(ended_at__isnull=False, cost_usd=None).exists(),
            limit_s=60,
            what="the costs of the ended attempts",
        )
        paid = Attempt.objects.filter(job__video=good).values_list("purchase", "price_source").distinct()
        assert list(paid) == [("spot", "spot-history")]
        cancel_stopped_container(applied, tmp_path)
        wait_for(
            lambda: "batch:TerminateJob" in applied.called("site"),
            limit_s=60,
            what="the termination of its Batch job by the reap tick",
        )
        worker_log = worker.logs()
    finally:
        for process in (beat, worker, listener):
            process.teardown()
    lines = [json.loads(line) for line in worker_log.splitlines() if '"METRICS"' in line]
    assert lines[-1][DIMENSION] == NAME, worker_log[-4000:]
    assert sum(each["JobsRejected"] for each in lines) == 1
    assert sum(each["AttemptsFailed"] for each in lines) == 0
    for who, implied in IMPLIED.items():
        assert not applied.called(who) - applied.actions(who), "called, but not allowed"
        assert applied.actions(who) - applied.called(who) == implied, "allowed, but never called"


def test_events_reach_the_queue_only_from_our_rules_when_they_are_applied(applied: Applied) -> None:
    sqs, events = applied.client("sqs"), applied.client("events")
    url = applied.outputs["site_environment"]["VIDEO_BATCH_EVENT_QUEUE_URL"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    (statement,) = json.loads(queue["Policy"])["Statement"]
    rules = {name: events.describe_rule(Name=f"{NAME}-events-{name}") for name in ("batch", "spot")}
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert set(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == {each["Arn"] for each in rules.values()}
    assert json.loads(queue["RedrivePolicy"])["maxReceiveCount"] == 3
    assert queue["SqsManagedSseEnabled"] == "true"
    assert int(queue["VisibilityTimeout"]) == VISIBILITY_TIMEOUT_S
    queue_arns = {each["jobQueueArn"] for each in applied.client("batch").describe_job_queues()["jobQueues"]}
    assert set(json.loads(rules["batch"]["EventPattern"])["detail"]["jobQueue"]) == queue_arns


def cancel_stopped_container(applied: Applied, folder: Path) -> None:
    """Cancel a job whose container is stopped and cannot notice it, so the reap tick has to terminate its Batch job."""
    clip = make_clip(folder / "long.mp4", frames=1, filters="loop=-1:1,trim=end_frame=9000")
    running = Attempt.objects.filter(job__video=applied.upload(UPLOAD, clip), state="RUNNING")
    attempt = wait_for(running.first, limit_s=60, what="the container of the long video")
    container = container_pid(attempt.batch_job_id)
    os.kill(container, signal.SIGSTOP)

    def cancel() -> bool:
        # The container may be stopped inside a transaction, whose locks the database releases after
        # 20 s.
        with suppress(OperationalError):
            cancel_job(job_id=attempt.job_id)
            return True
        return False

    wait_for(cancel, limit_s=60, what="the cancellation")
