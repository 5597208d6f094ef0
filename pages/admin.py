"""管理: who can see what, who looked?"""

from __future__ import annotations

from dashboard.ui import adminview, frame

with frame.reporting():
    adminview.show()
