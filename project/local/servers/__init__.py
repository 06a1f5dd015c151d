"""The servers of the local stack. Each is a process that ends with its parent."""

from __future__ import annotations
