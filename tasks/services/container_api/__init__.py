"""Services for containers: claim, heartbeat, finish, publish. `tasks.container` imports no other service."""

from __future__ import annotations
