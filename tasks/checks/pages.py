"""System checks of the pages' own template, and of the apps that the API needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.backends.django import Template as DjangoTemplate
from django.template.base import Node, NodeList, Template
from django.template.loader import get_template
from django.template.loader_tags import BlockNode, ExtendsNode
from django.urls import get_resolver

from .. import APP
from ..conf import bridge_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCKS = ("head", "content")
"""Blocks that our pages fill: scripts and styles, and everything that is shown."""


@register("batchreel")
def check_base_template(**_: Any) -> list[CheckMessage]:
    """Check that `base_template` exists and has the blocks of the pages. Other engines' templates are skipped."""
    try:
        name = bridge_settings().base_template
        found = get_template(name)
        missing = _missing_blocks(found.template) if isinstance(found, DjangoTemplate) else []
    except TemplateDoesNotExist as error:
        return [_template_warning(f"base_template needs the template {str(error)!r}, which does not exist.")]
    except TemplateSyntaxError:  # its page shows where
        return []
    except (ImproperlyConfigured, TypeError):  # reported as E001
        return []
    if not missing:
        return []
    text = f"base_template ({name!r}) has no block {' and no block '.join(missing)}, so the pages would lack what they put there"
    return [
        _template_warning(f"{text}: {'their scripts and styles' if 'head' in missing else 'all of their content'}.")
    ]


def _template_warning(text: str) -> CheckMessage:
    hint = 'It needs the blocks title, head and content: docs/how-to/embed.md, "Own templates".'
    return Warning(text, hint=hint, id="batchreel.W057")


def _missing_blocks(template: Template) -> list[str]:
    """Return those of our blocks that the template and its parents would not render.

    A block of a child is rendered if it is nested in a block of the parent.
    """
    chain = [template]
    while extends := _nodes(chain[-1].nodelist, ExtendsNode):
        parent = extends[0].parent_name.var
        if not isinstance(parent, str):  # a variable: known only when a page is rendered
            return []
        chain.append(chain[-1].engine.get_template(parent))
        if len(chain) > 50:  # noqa: PLR2004 - a template that extends itself from another folder
            return []
    blocks = [block for each in chain for block in _nodes(each.nodelist, BlockNode)]
    rendered: set[str] = set()
    new = {block.name for block in _nodes(chain[-1].nodelist, BlockNode)}
    while new:
        rendered |= new
        inner = [_nodes(block.nodelist, BlockNode) for block in blocks if block.name in new]
        new = {block.name for each in inner for block in each} - rendered
    return [name for name in _BLOCKS if name not in rendered]


def _nodes(within: NodeList, kind: type[Node]) -> list[Any]:
    """Return the nodes of this kind, nested ones too."""
    return list(within.get_nodes_by_type(kind))


@register("batchreel")
def check_api(**_: Any) -> list[CheckMessage]:
    """Check the apps of a site that has the API."""
    return list(_api_apps()) if _has_api() else []


def _has_api() -> bool:
    if getattr(settings, "ROOT_URLCONF", ""):
        try:
            _ = get_resolver().url_patterns
        except Exception:  # noqa: BLE001 - code of the site, whose errors Django's own check of URLs reports
            return False
    return f"{APP}.api.urls" in sys.modules


def _api_apps() -> Iterator[CheckMessage]:
    if not apps.is_installed("rest_framework"):
        yield Warning(
            f"{APP}.api.urls is used, but 'rest_framework' is not in INSTALLED_APPS, so its messages are not translated and its"
            " own checks do not run.",
            hint="Add 'rest_framework' to INSTALLED_APPS, and 'rest_framework.authtoken' for tokens: docs/reference/api.md.",
            id="batchreel.W058",
        )
    if not apps.is_installed("rest_framework.authtoken") and _uses_tokens():
        yield Warning(
            "'rest_framework.authtoken' is not in INSTALLED_APPS, so no request to the API is accepted with a token: those of a"
            " program get 403 NOT_AUTHENTICATED.",
            hint="Add 'rest_framework.authtoken' to INSTALLED_APPS and run `manage.py migrate`. For sessions or another way to sign in,"
            " name the classes in REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'].",
            id="batchreel.W059",
        )


def _uses_tokens() -> bool:
    """Return whether tokens are how programs sign in: the site names no other way, or DRF's tokens."""
    classes = getattr(settings, "REST_FRAMEWORK", None) or {}
    named = classes.get("DEFAULT_AUTHENTICATION_CLASSES")
    return named is None or "rest_framework.authentication.TokenAuthentication" in named
