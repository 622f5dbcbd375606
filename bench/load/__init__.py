"""The clients: programs that others wrote and know, started and read."""
