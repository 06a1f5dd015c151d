"""The only speaker to AWS Batch: a port of four verbs for the bridge, the control plane for operators, and the container's log."""

from __future__ import annotations
