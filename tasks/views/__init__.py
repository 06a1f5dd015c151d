"""The pages: a list with an upload form, a page for each video, the progress they ask for, and the files that a player fetches."""

from __future__ import annotations
