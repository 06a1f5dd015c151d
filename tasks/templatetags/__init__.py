"""Template tags: the player for a site's own pages."""

from __future__ import annotations
