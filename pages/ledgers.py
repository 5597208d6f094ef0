"""台账: which records are the figures counted from?"""

from __future__ import annotations

from dashboard.ui import frame, ledgersview

with frame.reporting():
    ledgersview.show()
