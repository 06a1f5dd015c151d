"""The only code that writes state.

Every change is made in a transaction that locks the job's row first (`state.locking`). No network
call is made inside a transaction: a service that calls AWS or a bucket runs several transactions,
with the calls between them.
"""

from __future__ import annotations
