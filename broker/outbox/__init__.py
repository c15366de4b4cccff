"""What the broker still has to announce."""
