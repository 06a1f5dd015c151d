"""Numbers in messages, as the reader's language writes them."""

from __future__ import annotations

from django.utils.formats import number_format


def one_decimal(number: float) -> str:
    """Return a number with one decimal: 1.5 or 1,5."""
    return number_format(f"{number:.1f}")


def short_number(number: float) -> str:
    """Return a number with as many decimals as it needs, in six digits: 5 or 0.25."""
    return number_format(f"{number:g}")
