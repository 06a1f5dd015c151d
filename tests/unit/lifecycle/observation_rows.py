"""The observation table as data: what AWS Batch said, and what follows. docs/observations.md is the same table for people.

The texts are AWS's own, from its documentation of stopped tasks and stuck Batch jobs and from reports by users of Batch; ids are made up.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.lifecycle.observation import BatchStatus, Observation
from tasks.lifecycle.reasons import Reason

RETRY = "another attempt"
MORE_MEMORY = "another attempt, with more memory"
RETRY_LATE = "another attempt; counted after 15 min if no better verdict comes"
WAIT = "nothing: the attempt goes on"
ALERT = "nothing is ended; an event after 30 min"
GRACE = "60 s of grace, then another attempt"
LOOK_AGAIN = "absent answers in a row, no heartbeat and age, then another attempt"

ESSENTIAL = "Essential container in task exited"
NO_START = "Task failed to start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of answer. `meaning` is None where nothing is concluded from it."""

    said: str
    container: str = ""
    exit_code: int | None = None
    status: BatchStatus = BatchStatus.FAILED
    started: bool = True
    terminated: bool = False
    meaning: Reason | None
    counted: str
    follows: str

    @property
    def observation(self) -> Observation:
        """The answer, as the port gives it."""
        return Observation(
            batch_job_id="b",
            status=self.status,
            status_reason=self.said,
            container_reason=self.container,
            exit_code=self.exit_code,
            started=self.started,
            terminated=self.terminated,
        )

    @property
    def told(self) -> str:
        """What the operator reads."""
        if self.meaning is not None:
            return self.meaning.message
        return "AWS's own words, in the event" if self.follows == ALERT else "the status"


def _failed(
    meaning: Reason, said: str, container: str = "", exit_code: int | None = None, *, started: bool = True
) -> Row:
    counted = {True: "yes", False: "no", None: "open"}[meaning.counts.value]
    follows = RETRY_LATE if counted == "open" else MORE_MEMORY if meaning is Reason.OUT_OF_MEMORY else RETRY
    return Row(
        said=said,
        container=container,
        exit_code=exit_code,
        started=started,
        meaning=meaning,
        counted=counted,
        follows=follows,
    )


def _no_start(said: str, container: str = "") -> Row:
    return _failed(Reason.START_FAILED, said, container, started=False)


def _on_error(who: Reason, said: str, exit_code: int | None, *, counted: str, started: bool = True) -> Row:
    return Row(
        said=said,
        exit_code=exit_code,
        started=started,
        terminated=True,
        meaning=who,
        counted=counted,
        follows=RETRY,
    )


def _waits(status: BatchStatus, said: str = "") -> Row:
    follows = ALERT if status is BatchStatus.RUNNABLE else WAIT
    return Row(said=said, status=status, started=False, meaning=None, counted="-", follows=follows)


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
    # The machine went away.
    _failed(Reason.SPOT_RECLAIM, "Your Spot Task was interrupted."),
    _failed(Reason.SPOT_RECLAIM, "Your Spot Task was interrupted.", exit_code=137),
    _failed(Reason.SPOT_RECLAIM, "Your Spot Task was interrupted.", exit_code=143),
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
    _failed(Reason.NOT_STARTED, "words that nobody here has seen", started=False),
    _on_error(Reason.NOT_STARTED, "cancelled by an operator", None, counted="no", started=False),
    # Somebody ended it.
    _on_error(Reason.TERMINATED, "Terminated by user", 137, counted="no"),
    _on_error(Reason.TERMINATED, "an operator's own words", 143, counted="no"),
    _on_error(Reason.REPLACED, "Batchreel: no start, no heartbeat, or no progress", 137, counted="yes"),
    _on_error(Reason.REPLACED, "Batchreel: no start, no heartbeat, or no progress", None, counted="no"),
    _on_error(Reason.REPLACED, "Batchreel: no start, no heartbeat, or no progress", None, counted="no", started=False),
    # What leaves open how the container ended.
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
    _failed(Reason.UNKNOWN_CAUSE, "words that nobody here has seen", exit_code=143),
    _failed(Reason.UNKNOWN_CAUSE, ""),
    # No end, or not yet one that counts.
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
        said=ESSENTIAL,
        status=BatchStatus.SUCCEEDED,
        exit_code=0,
        meaning=Reason.UNFINISHED,
        counted="yes",
        follows=GRACE,
    ),
    Row(
        said="",
        status=BatchStatus.ABSENT,
        meaning=Reason.BATCH_JOB_MISSING,
        counted="open",
        follows=LOOK_AGAIN,
    ),
]
