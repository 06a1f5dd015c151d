"""What every operation of the API shares, whatever it is about."""
