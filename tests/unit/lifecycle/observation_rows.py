"""The observation table as data: responses of AWS Batch and their consequences.

docs/reference/observations.md contains the same table for readers. The texts are AWS's own, from its
documentation of stopped tasks and stuck Batch jobs and from reports by users of Batch. The ids are
invented.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.lifecycle.reasons import Reason

RETRY = "another attempt"
MORE_MEMORY = "another attempt, with more memory"
RETRY_LATE = "another attempt; counted after 15 min unless a final status with a known cause arrives"
WAIT = "nothing: the attempt continues"
ALERT = "nothing ends; an event after 30 min"
GRACE = "another attempt, after a grace period of 60 s"
POLL_AGAIN = "another attempt, after 4 missing responses, 80 s without a heartbeat and an age of 120 s"

ESSENTIAL = "Essential container in task exited"
NO_START = "Task failed to start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of response. `reason` is None if nothing is concluded from it."""

    status_reason: str
    container_reason: str = ""
    exit_code: int | None = None
    status: BatchStatus = BatchStatus.FAILED
    started: bool = True
    terminated: bool = False
    reason: Reason | None
    counted: str
    consequence: str

    @property
    def observation(self) -> Observation:
        """Return the response as the port returns it."""
        return Observation(
            batch_job_id="b",
            status=self.status,
            status_reason=self.status_reason,
            container_reason=self.container_reason,
            exit_code=self.exit_code,
            started=self.started,
            terminated=self.terminated,
        )

    @property
    def message(self) -> str:
        """Return the message for the operator."""
        if self.reason is not None:
            return self.reason.message
        return "AWS's reason, in the event" if self.consequence == ALERT else "the status"


def _failed(
    reason: Reason,
    status_reason: str,
    container_reason: str = "",
    exit_code: int | None = None,
    *,
    started: bool = True,
) -> Row:
    counted = {True: "yes", False: "no", None: "undecided"}[reason.counts.value]
    consequence = RETRY_LATE if counted == "undecided" else MORE_MEMORY if reason is Reason.OUT_OF_MEMORY else RETRY
    return Row(
        status_reason=status_reason,
        container_reason=container_reason,
        exit_code=exit_code,
        started=started,
        reason=reason,
        counted=counted,
        consequence=consequence,
    )


def _no_start(status_reason: str, container_reason: str = "") -> Row:
    return _failed(Reason.START_FAILED, status_reason, container_reason, started=False)


def _terminated(
    reason: Reason, status_reason: str, exit_code: int | None, *, counted: str, started: bool = True
) -> Row:
    return Row(
        status_reason=status_reason,
        exit_code=exit_code,
        started=started,
        terminated=True,
        reason=reason,
        counted=counted,
        consequence=RETRY,
    )


def _waits(status: BatchStatus, status_reason: str = "") -> Row:
    consequence = ALERT if status is BatchStatus.RUNNABLE else WAIT
    return Row(
        status_reason=status_reason, status=status, started=False, reason=None, counted="-", consequence=consequence
    )


_TOO_LONG = "Canceled by JobStateTimeLimit action due to reason:"

ROWS = [
    # The container ran and ended by itself.
    _failed(Reason.EXIT_CODE, ESSENTIAL, exit_code=1),
    _failed(Reason.EXIT_CODE, ESSENTIAL, exit_code=2),
    _failed(Reason.EXIT_CODE, ESSENTIAL, exit_code=126),
    _failed(Reason.EXIT_CODE, ESSENTIAL, exit_code=127),
    _failed(Reason.EXIT_CODE, ESSENTIAL, exit_code=137),
    _failed(Reason.EXIT_CODE, ESSENTIAL, exit_code=139),
    _failed(Reason.EXIT_CODE, ESSENTIAL, exit_code=143),
    _failed(Reason.DATABASE_UNAVAILABLE, ESSENTIAL, exit_code=31),
    _failed(Reason.MISCONFIGURED, ESSENTIAL, exit_code=40),
    _failed(Reason.EXIT_CODE, "", exit_code=1),
    _failed(Reason.OUT_OF_MEMORY, ESSENTIAL, "OutOfMemoryError: Container killed due to memory usage", 137),
    _failed(Reason.OUT_OF_MEMORY, ESSENTIAL, "OutOfMemoryError: Container killed due to memory usage", 1),
    _failed(Reason.OUT_OF_MEMORY, "OutOfMemoryError: Container killed due to memory usage", exit_code=137),
    _failed(Reason.TIMED_OUT, "Job attempt duration exceeded timeout", exit_code=137),
    _failed(Reason.TIMED_OUT, "Job attempt duration exceeded timeout", exit_code=143),
    _failed(Reason.TIMED_OUT, "Job attempt duration exceeded timeout"),
    # The host was lost.
    _failed(Reason.SPOT_INTERRUPTION, "Your Spot Task was interrupted."),
    _failed(Reason.SPOT_INTERRUPTION, "Your Spot Task was interrupted.", exit_code=137),
    _failed(Reason.SPOT_INTERRUPTION, "Your Spot Task was interrupted.", exit_code=143),
    _failed(Reason.HOST_LOST, "Host EC2 (instance i-0123456789abcdef0) terminated."),
    _failed(Reason.HOST_LOST, "Host EC2 (instance i-0123456789abcdef0) terminated.", exit_code=137),
    _failed(Reason.HOST_LOST, "Host EC2 (instance i-0123456789abcdef0) stopped."),
    _failed(Reason.HOST_LOST, "Container instance deregistration forced by user"),
    _failed(
        Reason.HOST_LOST,
        "ECS is performing maintenance on the underlying infrastructure hosting the task",
        exit_code=137,
    ),
    # The container could not be started.
    _no_start(NO_START),
    _no_start(NO_START, "CannotPullContainerError: Error response from daemon: manifest for image:tag not found"),
    _no_start(NO_START, "CannotPullContainerError: failed to register layer: no space left on device"),
    _no_start("CannotPullContainerError: ref pull has been retried 5 time(s): failed to resolve reference"),
    _no_start(ESSENTIAL, "CannotPullContainerError: API error (404): repository not found"),
    _no_start(NO_START, "CannotCreateContainerError: API error (500): devmapper: no free space"),
    _no_start(NO_START, "CannotStartContainerError: Error response from daemon: OCI runtime create failed"),
    _no_start(
        NO_START,
        "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: "
        "failed to create Cloudwatch log stream",
    ),
    _no_start(NO_START, "CannotCreateVolumeError: Could not mount the file system"),
    _no_start(NO_START, "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"),
    _no_start(NO_START, "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"),
    _failed(
        Reason.START_FAILED,
        ESSENTIAL,
        "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
        1,
    ),
    _no_start("ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 1m"),
    _no_start(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed"
    ),
    _no_start("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times"),
    _no_start("Timeout waiting for network interface provisioning to complete."),
    _no_start("Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1'"),
    _no_start("ECS was unable to assume the role 'arn:aws:iam::123456789012:role/r' that was provided for this task."),
    # The Batch job was ended before a container started.
    _failed(Reason.NOT_STARTED, f"{_TOO_LONG} MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", started=False),
    _failed(Reason.NOT_STARTED, f"{_TOO_LONG} MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", started=False),
    _failed(Reason.NOT_STARTED, f"{_TOO_LONG} CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", started=False),
    _failed(Reason.NOT_STARTED, "a text that is not in this table", started=False),
    _terminated(Reason.NOT_STARTED, "cancelled by an operator", None, counted="no", started=False),
    # An operator or the bridge ended it.
    _terminated(Reason.TERMINATED, "Terminated by user", 137, counted="no"),
    _terminated(Reason.TERMINATED, "a reason that an operator typed", 143, counted="no"),
    _terminated(Reason.REPLACED, "Batchreel: no start, no heartbeat, or no progress", 137, counted="yes"),
    _terminated(Reason.REPLACED, "Batchreel: no start, no heartbeat, or no progress", None, counted="no"),
    _terminated(
        Reason.REPLACED, "Batchreel: no start, no heartbeat, or no progress", None, counted="no", started=False
    ),
    # Unclear how the container ended.
    _failed(
        Reason.UNKNOWN_CAUSE,
        ESSENTIAL,
        "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s",
    ),
    _failed(
        Reason.UNKNOWN_CAUSE,
        ESSENTIAL,
        "DockerTimeoutError: Could not transition to stopped; timed out after waiting 1m0s",
        137,
    ),
    _failed(Reason.UNKNOWN_CAUSE, "CannotStopContainerError: failed sending SIGTERM to container"),
    _failed(Reason.UNKNOWN_CAUSE, ESSENTIAL),
    _failed(Reason.UNKNOWN_CAUSE, ESSENTIAL, exit_code=0),
    _failed(Reason.UNKNOWN_CAUSE, "a text that is not in this table", exit_code=143),
    _failed(Reason.UNKNOWN_CAUSE, ""),
    # Not ended, or not yet final.
    _waits(BatchStatus.SUBMITTED),
    _waits(BatchStatus.PENDING),
    _waits(BatchStatus.RUNNABLE),
    _waits(
        BatchStatus.RUNNABLE,
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type c7i.large",
    ),
    _waits(
        BatchStatus.RUNNABLE,
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU "
        "requirement of the job.",
    ),
    _waits(
        BatchStatus.RUNNABLE,
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that "
        "can be met by the CE(s) attached to the job queue.",
    ),
    _waits(
        BatchStatus.RUNNABLE, "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - Batch service role has a permission issue."
    ),
    _waits(
        BatchStatus.RUNNABLE,
        "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - Your compute environment associated with this job queue "
        "has an unsupported instance type configuration.",
    ),
    _waits(BatchStatus.RUNNABLE, "UNDETERMINED - Batch job is blocked, root cause is undetermined."),
    _waits(BatchStatus.STARTING),
    _waits(BatchStatus.RUNNING),
    Row(
        status_reason=ESSENTIAL,
        status=BatchStatus.SUCCEEDED,
        exit_code=0,
        reason=Reason.UNFINISHED,
        counted="yes",
        consequence=GRACE,
    ),
    Row(
        status_reason="",
        status=BatchStatus.ABSENT,
        reason=Reason.BATCH_JOB_MISSING,
        counted="undecided",
        consequence=POLL_AGAIN,
    ),
]
