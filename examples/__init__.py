"""Small programs that show Backplane at work."""
