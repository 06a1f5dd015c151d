"""What a container may call: claim, heartbeat, finish units, publish. `tasks.container` imports no other service."""

from __future__ import annotations
