"""One module for each kind of unit: plan, encode, preview, publish; and the verification before publishing."""

from __future__ import annotations
