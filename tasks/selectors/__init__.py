"""Reading rows for the faces: what pages and the admin show. Nothing here writes, and no list costs more queries than one row."""

from __future__ import annotations
