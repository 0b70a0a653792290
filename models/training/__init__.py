"""How networks are trained, tuned, evaluated and derived from each other.

Knows settings, data, networks and run folders; records no trace.
"""
