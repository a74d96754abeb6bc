"""Implementations of the ports: the only place where bytes meet sockets."""
