"""Parts of the command line: run all units on this machine, show progress, lock the output folder."""

from __future__ import annotations
