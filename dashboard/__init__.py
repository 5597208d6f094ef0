"""Dudao 督导一张图."""

__version__ = "0.1.0"
