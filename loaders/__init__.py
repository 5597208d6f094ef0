"""Files in, canonical frames and one full report out. Never opens the database."""

from __future__ import annotations

from loaders.model import Known, Prepared, Request
from loaders.prepare import inspect, prepare

__all__ = ["Known", "Prepared", "Request", "inspect", "prepare"]
