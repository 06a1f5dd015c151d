"""Program that submits as the submit tick does and kills itself at one step: `python -m ...dying_submitter STEP`."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from tasks.batch.port import ListedJob, Submission

django.setup()

from tasks.batch.aws import AwsBatch  # noqa: E402 - models need the setup
from tasks.services.ticks.ambiguous import resolve_ambiguous  # noqa: E402
from tasks.services.ticks.submit import submit_due  # noqa: E402


class DyingBatch(AwsBatch):
    """AWS Batch for a process that kills itself at one step."""

    def __init__(self, step: str) -> None:
        self._step = step

    def submit(self, submission: Submission) -> str:
        """Submit, and die before the call or after its effect."""
        self.die_at("before SubmitJob")
        batch_job_id = super().submit(submission)
        self.die_at("after SubmitJob")
        return batch_job_id

    def find(self, *, name: str) -> list[ListedJob]:
        """Find the Batch jobs, and die before using a non-empty result."""
        found = super().find(name=name)
        if found:
            self.die_at("before the adoption")
        return found

    def terminate(self, batch_job_id: str, *, reason: str) -> None:
        """Die before terminating the surplus Batch job."""
        self.die_at("after the adoption")
        super().terminate(batch_job_id, reason=reason)

    def die_at(self, step: str) -> None:
        """Die if this is the chosen step."""
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Resolve ambiguous submissions, submit due jobs, and die on the way or at the end."""
    batch = DyingBatch(sys.argv[1])
    resolve_ambiguous(batch=batch)
    submit_due(batch=batch)
    batch.die_at("after the record")


if __name__ == "__main__":
    main()
