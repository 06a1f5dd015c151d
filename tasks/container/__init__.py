"""The program that Batch runs: `python -m tasks.container JOB ATTEMPT`.

It leases units in a loop, while a separate thread sends heartbeats.
"""

from __future__ import annotations
