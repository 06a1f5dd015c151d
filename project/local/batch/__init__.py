"""The job plane of the local AWS Batch: SubmitJob, DescribeJobs and containers as local processes."""

from __future__ import annotations
