"""Read-only queries for the pages and the admin.

Nothing here writes, and a list never needs more queries than a single row.
"""

from __future__ import annotations
