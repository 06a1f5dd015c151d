"""Metrics for operators: read from the rows by any process, for Prometheus and as a line of the log for CloudWatch.

Nothing is kept in a process's memory, so the numbers are the same whichever of several web processes answers. Gauges
are read when they are asked for, by queries whose cost grows with open work, not with history. What has ended is added
to the counters' rows once, by the metrics tick.
"""

from __future__ import annotations
