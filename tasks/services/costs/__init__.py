"""What attempts cost: the body of the cost tick."""

from __future__ import annotations
