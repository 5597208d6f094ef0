"""比较: who is last, who will miss the year's target, who is really different?"""

from __future__ import annotations

from dashboard.ui import comparisonview, frame

with frame.reporting():
    comparisonview.show()
