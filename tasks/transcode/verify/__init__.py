"""Step 5: prove that the stored objects are what the manifest says, and that they decode."""

from __future__ import annotations
