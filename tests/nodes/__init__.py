"""Nodes: pure."""
