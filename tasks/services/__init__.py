"""The only code that writes state.

Each call is one transaction that locks the job row first, then the attempt, then the unit. No
network call is made inside a transaction.
"""

from __future__ import annotations
