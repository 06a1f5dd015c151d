"""Where objects are stored: their keys, and what a bucket can do beyond Django's storage API."""

from __future__ import annotations
