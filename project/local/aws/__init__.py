"""The local AWS endpoint: moto, with the job plane of AWS Batch replaced by `project.local.batch`."""

from __future__ import annotations
