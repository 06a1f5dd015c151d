"""The program of a fake container's Batch job: asks the test's server to do the work, and exits with its exit code.

Run as `python -I -S fake_container_program.py PORT JOB ATTEMPT`: without Django it starts in 20 ms,
where a real container takes a second.
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> int:
    """Send the request, wait, and return the exit code, or 1 if the server sends none."""
    _, port, job_id, number = sys.argv
    with socket.create_connection(("127.0.0.1", int(port))) as server:
        server.sendall(f"{job_id} {number} {os.environ['AWS_BATCH_JOB_ID']}\n".encode())
        response = server.makefile().read()
    return int(response or 1)


if __name__ == "__main__":
    raise SystemExit(main())
