"""Parley: one gateway through which any program talks to any model."""

__version__ = "0.1.0"
