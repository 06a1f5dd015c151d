#!/bin/sh
# A Celery producer waits many socket timeouts for a Redis that accepts connections and never answers.
#
# Versions: celery 5.5.3 with kombu 5.5.4 and redis-py 5.2.1; socket_timeout and socket_connect_timeout 0.5 s, health_check_interval on,
#           no retries of the publish.
# Expected: send_task fails after one or two timeouts, about a second, since retry=False and every socket call is bounded.
# Seen:     it blocks for many times that: the connection's health check is repeated, each time with the whole timeout.
# So:       a web request that sends a task needs a bound of its own (a thread that is waited for), not just socket timeouts.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check celery==5.5.3 kombu==5.5.4 redis==5.2.1
"$folder/venv/bin/python" - <<'PYTHON'
import socket
import threading
import time

from celery import Celery

TIMEOUT_S = 0.5
server = socket.create_server(("127.0.0.1", 0))
accepted = []


def swallow():
    while True:
        accepted.append(server.accept()[0])


threading.Thread(target=swallow, daemon=True).start()
app = Celery("site", broker=f"redis://127.0.0.1:{server.getsockname()[1]}/0")
app.conf.broker_transport_options = {
    "socket_timeout": TIMEOUT_S,
    "socket_connect_timeout": TIMEOUT_S,
    "health_check_interval": 10,
}
app.conf.broker_connection_timeout = 1
began = time.monotonic()
try:
    app.send_task("site.tick", retry=False, ignore_result=True)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
waited_s = time.monotonic() - began
print(f"send_task waited {waited_s:.1f} s, {waited_s / TIMEOUT_S:.0f} timeouts, over {len(accepted)} connections")
raise SystemExit(not waited_s > 4 * TIMEOUT_S)
PYTHON
