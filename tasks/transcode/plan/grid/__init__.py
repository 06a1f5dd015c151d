"""The grid, the timeline of the output: its rate, the frames of the source on it, and its division into units."""
