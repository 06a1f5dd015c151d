"""One module per kind of unit (plan, preview, encode, publish), and the verification before publishing."""

from __future__ import annotations
