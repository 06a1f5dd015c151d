"""Which bytes a demuxer reads to open a source, and to seek in it: tried in a child process."""
