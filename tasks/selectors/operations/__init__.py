"""What operators see in the admin: the figures of the whole site, and the work on one job."""

from __future__ import annotations
