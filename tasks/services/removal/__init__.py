"""Removal of rows and objects: what people deleted, what is superseded or ended, and old events."""

from __future__ import annotations
