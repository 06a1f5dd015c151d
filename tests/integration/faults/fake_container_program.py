"""What the Batch job of a stand-in runs: it asks the hall to do a container's work, and ends with the exit code that the hall says.

Started as `python -I -S stand_in_program.py PORT JOB ATTEMPT`: without Django it is up in 20 ms, where a container takes a second.
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> int:
    """Ask, wait, and return the exit code; 1 where the hall says none."""
    _, port, job_id, number = sys.argv
    with socket.create_connection(("127.0.0.1", int(port))) as hall:
        hall.sendall(f"{job_id} {number} {os.environ['AWS_BATCH_JOB_ID']}\n".encode())
        answer = hall.makefile().read()
    return int(answer or 1)


if __name__ == "__main__":
    raise SystemExit(main())
