"""Many-core chips: networks laid out on cores, packets on a mesh, time per step, and SANA-FE's view of it.

Knows replays and meshes; nothing of grids.
"""
