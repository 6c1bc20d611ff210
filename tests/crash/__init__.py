"""What is left after a crash or a failing disk."""
