"""Step 4: playlists for HLS and DASH, and the manifest, from the outputs of all units."""

from __future__ import annotations
