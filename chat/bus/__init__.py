"""How a turn's events come from the worker to the sockets, and a cancel goes back. No Django."""
