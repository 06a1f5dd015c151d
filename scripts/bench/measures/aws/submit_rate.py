"""Benchmark: SubmitJob calls per second within an account's quota, and the share of throttled calls."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import boto3

from scripts.bench.measures.history import migrate
from scripts.bench.measures.in_processes import in_processes
from tasks.batch.aws import aws_batch
from tasks.batch.definition import render
from tasks.conf import bridge_settings
from tasks.models import Attempt, Job, Video
from tasks.services.requests.request import request_missing_jobs
from tasks.services.ticks.ambiguous import resolve_ambiguous
from tasks.services.ticks.submit import submit_due

WORKERS = 8
QUOTA_PER_S = 50

_PAUSE_S = 0.2


def measured(jobs: int) -> list[dict[str, Any]]:
    """Submit `jobs` jobs from eight processes.

    Return the rate, the throttled share, and whether each was submitted once.
    """
    migrate()
    region = boto3.client("batch").meta.region_name
    boto3.client("batch").register_job_definition(**render(bridge_settings(), region=region))
    Video.objects.bulk_create(Video(title="v", source=f"sources/{number}.mp4") for number in range(jobs))
    while request_missing_jobs(limit=1000):
        sys.stderr.write(f"Requested {Job.objects.count()} of {jobs} jobs ...\n")
    quota = _local_batch("POST", {"kind": "quota", "operation": "SubmitJob", "per_s": QUOTA_PER_S})
    spans = in_processes(_submit_all, count=WORKERS)
    took_s = max(ended for _, ended in spans) - min(began for began, _ in spans)
    throttled = {each["fault_id"]: each["applied"] for each in _local_batch("GET")["faults"]}[quota["fault_id"]]
    names = _submitted_names()
    return [
        {
            "jobs": jobs,
            "workers": WORKERS,
            "quota_per_s": QUOTA_PER_S,
            "submitted_per_s": round(jobs / took_s, 1),
            "throttled_share": round(throttled / (throttled + len(names)), 4),
            "submitted_once": len(names) == len(set(names)) == jobs,
        }
    ]


def _submit_all(_: int) -> tuple[float, float]:
    """Submit until nothing is left.

    Return start and end times of the monotonic clock, which all processes share.
    """
    batch, began = aws_batch(), time.monotonic()
    while Attempt.objects.filter(state="SUBMITTED").count() < Job.objects.count():
        summary = submit_due(batch=batch)
        resolve_ambiguous(batch=batch)
        if not summary.submitted:
            time.sleep(_PAUSE_S)
    return began, time.monotonic()


def _submitted_names() -> list[str]:
    pages = boto3.client("batch").get_paginator("list_jobs")
    prefix = f"{bridge_settings().job_name_prefix}-*"
    return [
        job["jobName"]
        for page in pages.paginate(
            jobQueue=bridge_settings().job_queue, filters=[{"name": "JOB_NAME", "values": [prefix]}]
        )
        for job in page["jobSummaryList"]
    ]


def _local_batch(method: str, document: dict[str, Any] | None = None) -> Any:
    connection = http.client.HTTPConnection(urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, timeout=30)
    connection.request(method, "/local-batch/faults", body=None if document is None else json.dumps(document))
    return json.load(connection.getresponse())
