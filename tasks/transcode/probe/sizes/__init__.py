"""Sizes and shapes of all frames of a video, found without decoding it, and the one that most of it has.

Runs only in the probe's child process.
"""

from __future__ import annotations
