"""Child processes that read untrusted input, with resource limits and a deadline.

On Linux they have no network if the kernel allows it. All runs of ffmpeg go through this package.
"""

from __future__ import annotations
