"""Scratch space: the room that a container reserves on its machine's disk, and when it waits for it.

Containers of one machine share its disk and see nothing of each other but its free space. Checking
at that is no reservation: containers that start together would all see the same space. So each one
allocates what it needs before it downloads anything (`reservation`). If there is no room, it keeps
its place on the machine and waits while others hold enough of it, first come, first served, and
otherwise leaves after a while (`rule`). Leaving at once would make the full machine the one with
free places, to which AWS Batch sends the next jobs.
"""

from __future__ import annotations
