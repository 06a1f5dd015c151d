"""Batchreel, the Django app: a Celery task system that turns uploaded videos into adaptive streaming on AWS Batch.

Read it from the outside in: `receivers` hear that an upload is complete, `services` are the only writers of state, `lifecycle` holds
the rules, `batch` talks to AWS, `container` is the program that Batch runs, and `transcode` is the media engine that it drives.
"""

from __future__ import annotations
