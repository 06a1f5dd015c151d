"""Parts of a transport stream in which a stream is of another kind than in the rest.

Runs only in the probe's child process.
"""
