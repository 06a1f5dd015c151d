"""The servers of the local stack, each a process that ends with its parent."""

from __future__ import annotations
