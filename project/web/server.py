"""Gunicorn's configuration: `gunicorn project.wsgi --config python:project.web.server`.

GUNICORN_CMD_ARGS and the command line take precedence over these values.
"""

from __future__ import annotations

import os

# Two processes, so that one that restarts or is busy with Python leaves the other.
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
worker_class = "project.web.worker.BufferingWorker"
threads = 8
graceful_timeout = 30
# Longer than an AWS load balancer's idle timeout (60 s), so that the balancer closes idle connections, never this side.
keepalive = 75
accesslog = "-"
# The socket would be created in the user's home folder, which a container cannot write to.
control_socket_disable = True
