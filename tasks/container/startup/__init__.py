"""What the container program does before it claims its attempt."""
