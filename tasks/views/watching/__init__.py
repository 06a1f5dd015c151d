"""What a player requests next to the media: images for its seek bar, and where the person has stopped."""

from __future__ import annotations
