"""源文件指标: what did the two documents report and promise, and where is it on the map?"""

from __future__ import annotations

from dashboard.ui import frame, sourcesview

with frame.reporting():
    sourcesview.show()
