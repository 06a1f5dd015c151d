"""The parts that the doctor checks, in the order of its findings."""

from __future__ import annotations

from . import addresses
from .events import check_events
from .outbox import check_outbox
from .probes.batch import check_definition, check_queues
from .probes.broker import check_broker
from .probes.compute import check_compute
from .probes.database import check_database
from .probes.jobs import check_jobs
from .probes.media import check_ffmpeg_if_installed, check_player
from .probes.old_system import check_legacy
from .probes.permissions import check_permissions
from .probes.settings import check_settings
from .probes.storage import check_storage
from .probes.ticks import check_ticks
from .runner import Probe

PROBES = (
    Probe("settings", check_settings),
    Probe("database", check_database, addresses.database),
    Probe("broker", check_broker, addresses.broker),
    Probe("ticks", check_ticks, addresses.ticks),
    Probe("outbox", check_outbox, addresses.database),
    Probe("storage", check_storage, addresses.storage),
    Probe("queue", check_queues, addresses.batch),
    Probe("definition", check_definition, addresses.batch),
    Probe("machines", check_compute, addresses.machines),
    Probe("permissions", check_permissions, addresses.permissions),
    Probe("ffmpeg", check_ffmpeg_if_installed),
    Probe("player", check_player),
    Probe("events", check_events, addresses.events),
    Probe("jobs", check_jobs, addresses.database),
    Probe("legacy", check_legacy, addresses.database),
)
