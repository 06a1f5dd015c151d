"""Batchreel, the Django app that turns uploaded videos into adaptive streams on AWS Batch.

Read it from the outside in: `receivers` react to a complete upload, `services` are the only writers
of state, `lifecycle` contains the rules, `batch` calls AWS, `container` is the program that Batch
runs, and `transcode` is the media engine that it calls.
"""

from __future__ import annotations

__version__ = "0.2.0"

APP = __name__
"""Import name of the app: `tasks` in this repository, `batchreel` in an installed package."""
