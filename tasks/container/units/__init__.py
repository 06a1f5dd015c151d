"""One module per kind of unit (plan, encode, publish), and the verification before publishing."""

from __future__ import annotations
