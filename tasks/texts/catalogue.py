"""Texts of the catalogue that no call of gettext contains: of parts without a framework, and of the admin's models."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.contrib.admin import site
from django.utils.translation import override

from ..lifecycle import dead_message, retry_offer
from ..lifecycle.reasons import INPUT_ERROR, WHAT_TO_DO, Reason
from ..transcode import FEWER_FRAMES, KINDS, MORE_KEY_FRAMES, REJECTIONS, SOURCE_WARNINGS, SUMMARY
from .columns import column_texts


def texts_by_module() -> Iterator[tuple[str, str]]:
    """Yield each text with the folder or module that it is from."""
    sources = {
        "transcode/rejections.py": [*REJECTIONS.values(), *KINDS.values(), FEWER_FRAMES, MORE_KEY_FRAMES],
        "transcode/source_warnings.py": SOURCE_WARNINGS.values(),
        "transcode/plan/profile.py": [SUMMARY],
        "lifecycle/reasons.py": [*(reason.message for reason in Reason), *WHAT_TO_DO.values(), INPUT_ERROR],
        "lifecycle/dead_message.py": dead_message.texts(),
        "lifecycle/retry_offer.py": retry_offer.texts(),
    }
    for module, texts in sources.items():
        yield from ((module, text) for text in texts)
    models = filter(site.is_registered, apps.get_app_config("batchreel").get_models())
    with override(None):
        yield from (("models", text) for text in column_texts(models))
