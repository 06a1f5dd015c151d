"""All mutations, in the order of the promises that they break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations.container_patches import CONTAINER_PATCHES
from tests.mutations.history_patches import HISTORY_PATCHES
from tests.mutations.request_patches import REQUEST_PATCHES
from tests.mutations.submit_patches import SUBMIT_PATCHES
from tests.mutations.watch_patches import WATCH_PATCHES
from tests.mutations.work_patches import WORK_PATCHES

if TYPE_CHECKING:
    from tests.mutations.patch import Patch

PATCHES: tuple[Patch, ...] = tuple(
    sorted(
        (*REQUEST_PATCHES, *SUBMIT_PATCHES, *WORK_PATCHES, *WATCH_PATCHES, *CONTAINER_PATCHES, *HISTORY_PATCHES),
        key=lambda patch: patch.promise,
    )
)
