"""All mutations, in the order of the promises that they break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations.access_patches import ACCESS_PATCHES
from tests.mutations.admin_patches import ADMIN_PATCHES
from tests.mutations.api_patches import API_PATCHES
from tests.mutations.audio_patches import AUDIO_PATCHES
from tests.mutations.backlog_patches import BACKLOG_PATCHES
from tests.mutations.broker_patches import BROKER_PATCHES
from tests.mutations.chapter_patches import CHAPTER_PATCHES
from tests.mutations.clock_patches import CLOCK_PATCHES
from tests.mutations.container_api_patches import CONTAINER_API_PATCHES
from tests.mutations.container_patches import CONTAINER_PATCHES
from tests.mutations.cost_patches import COST_PATCHES
from tests.mutations.edition_patches import EDITION_PATCHES
from tests.mutations.fetch_patches import FETCH_PATCHES
from tests.mutations.growing_patches import GROWING_PATCHES
from tests.mutations.machine_patches import MACHINE_PATCHES
from tests.mutations.metrics_patches import METRICS_PATCHES
from tests.mutations.outbox_patches import OUTBOX_PATCHES
from tests.mutations.page_patches import PAGE_PATCHES
from tests.mutations.push_patches import PUSH_PATCHES
from tests.mutations.removal_patches import REMOVAL_PATCHES
from tests.mutations.request_patches import REQUEST_PATCHES
from tests.mutations.sandbox_patches import SANDBOX_PATCHES
from tests.mutations.scale_patches import SCALE_PATCHES
from tests.mutations.simulation_patches import SIMULATION_PATCHES
from tests.mutations.size_patches import SIZE_PATCHES
from tests.mutations.slow_aws_patches import SLOW_AWS_PATCHES
from tests.mutations.speech_patches import SPEECH_PATCHES
from tests.mutations.still_patches import STILL_PATCHES
from tests.mutations.submit_patches import SUBMIT_PATCHES
from tests.mutations.tick_patches import TICK_PATCHES
from tests.mutations.web_patches import WEB_PATCHES

if TYPE_CHECKING:
    from tests.mutations.patch import Patch

PATCHES: tuple[Patch, ...] = tuple(
    sorted(
        (
            *REQUEST_PATCHES,
            *SUBMIT_PATCHES,
            *SCALE_PATCHES,
            *BACKLOG_PATCHES,
            *BROKER_PATCHES,
            *CONTAINER_API_PATCHES,
            *TICK_PATCHES,
            *SLOW_AWS_PATCHES,
            *REMOVAL_PATCHES,
            *PUSH_PATCHES,
            *OUTBOX_PATCHES,
            *METRICS_PATCHES,
            *GROWING_PATCHES,
            *STILL_PATCHES,
            *AUDIO_PATCHES,
            *CHAPTER_PATCHES,
            *EDITION_PATCHES,
            *SPEECH_PATCHES,
            *SIZE_PATCHES,
            *CLOCK_PATCHES,
            *COST_PATCHES,
            *CONTAINER_PATCHES,
            *FETCH_PATCHES,
            *MACHINE_PATCHES,
            *SANDBOX_PATCHES,
            *SIMULATION_PATCHES,
            *WEB_PATCHES,
            *ACCESS_PATCHES,
            *API_PATCHES,
            *PAGE_PATCHES,
            *ADMIN_PATCHES,
        ),
        key=lambda patch: patch.promise,
    )
)
