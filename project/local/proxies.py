"""Proxy bypass for connections to this machine.

With `http_proxy` set, as in most schools and companies, boto3 and urllib would send requests for
the local AWS endpoint to the proxy, which cannot reach it.
"""

from __future__ import annotations

import os

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def bypass_proxies_for_loopback() -> dict[str, str]:
    """Add loopback to `no_proxy`, for this process and the programs that it starts.

    Return the variables that were set. Existing hosts in the variable are kept. Both spellings are
    set, because programs differ in which one they read.
    """
    hosts = [host.strip() for host in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")]
    merged = "*" if "*" in hosts else ",".join(dict.fromkeys([*filter(None, hosts), *LOOPBACK_HOSTS]))
    variables = {"no_proxy": merged, "NO_PROXY": merged}
    os.environ.update(variables)
    return variables
