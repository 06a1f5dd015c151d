"""The outbox: rows for receivers outside, written in the transaction of the change that they report."""

from __future__ import annotations
