"""Demonstration data: canonical files, and loading them as a data clerk would."""

from dashboard.demo.build import DEFAULT_MONTHS, DEFAULT_ROOT, DEFAULT_SEED, LAST_MONTH, build
from dashboard.demo.model import DemoFiles, Trouble, TroubleKind
from dashboard.demo.troubles import TROUBLES

__all__ = [
    "DEFAULT_MONTHS",
    "DEFAULT_ROOT",
    "DEFAULT_SEED",
    "LAST_MONTH",
    "TROUBLES",
    "DemoFiles",
    "Trouble",
    "TroubleKind",
    "build",
]
