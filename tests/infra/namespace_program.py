"""Program for a network namespace of its own, where every address is this machine's: who reaches which address?

Arguments: the script of a machine's boothook, a user id, and addresses. The script runs twice. The
program prints a line for the user before it ran, one for the user afterwards and one for root, with
1 for each address that is reached and 0 for each that is not; then the number of rules that reject
something, for IPv4 and IPv6.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time

_TIMEOUT_S = 10


def run(*command: str) -> str:
    """Run a command that must succeed, and return its output."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S).stdout


def listen(address: str) -> socket.socket:
    """Give this machine the address, and accept connections to its port 80."""
    if ":" in address:
        run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
        return socket.create_server((address, 80), family=socket.AF_INET6)
    run("ip", "address", "add", f"{address}/32", "dev", "lo")
    return socket.create_server((address, 80))


def reaches(address: str) -> bool:
    """Return whether a connection is accepted rather than rejected."""
    # Not create_connection: it imports a codec, and the user may not read Python's files.
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connecting:
        connecting.settimeout(_TIMEOUT_S)
        try:
            connecting.connect((address, 80))
        except ConnectionRefusedError:
            return False
    return True


def wait_for_route(address: str) -> None:
    """Wait until the kernel has a route to a new address, which may be a moment after `ip` has returned."""
    until_s = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            reaches(address)
        except OSError as error:
            if error.errno != errno.ENETUNREACH or time.monotonic() > until_s:
                raise
            time.sleep(0.05)
        else:
            return


def report(name: str, *, uid: int, addresses: list[str]) -> None:
    """Print what a process of the user reaches."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.setuid(uid)
        sys.stdout.write(" ".join([name, *(str(int(reaches(address))) for address in addresses)]) + "\n")
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status:
        sys.exit(f"the process of user {uid} ended with status {status}")


def main(boothook: str, uid: int, addresses: list[str]) -> None:
    """Print the lines."""
    run("ip", "link", "set", "lo", "up")
    sockets = [listen(address) for address in addresses]
    for address in addresses:
        wait_for_route(address)
    report("before", uid=uid, addresses=addresses)
    for _ in range(2):
        run("/bin/sh", "-c", boothook)
    report("container", uid=uid, addresses=addresses)
    report("root", uid=0, addresses=addresses)
    rules = [run(command, "-S", "OUTPUT").count("REJECT") for command in ("iptables", "ip6tables")]
    sys.stdout.write(f"rules {rules[0]} {rules[1]}\n")
    for each in sockets:
        each.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
