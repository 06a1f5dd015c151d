"""Step 2: decide the ladder, the frame rate and the units.

A plan fixes everything that the output bytes depend on.
"""

from __future__ import annotations
