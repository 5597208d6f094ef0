"""Hostile files are parsed in a process of their own.

`run` starts it, watches it and ends it; `child` is what runs inside; `protect` takes away what a
reader does not need (network, other files, other processes, memory, time); `handover` brings the
result back as plain arrays whose every size is checked.
"""
