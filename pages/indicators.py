"""指标: which of the systems is off pace in this place?"""

from __future__ import annotations

from dashboard.ui import frame, indicatorsview

with frame.reporting():
    indicatorsview.show()
