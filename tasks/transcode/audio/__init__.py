"""What the audio of a source is like: its loudness, its peaks, and how its channels become two."""
