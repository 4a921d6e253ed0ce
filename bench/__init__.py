"""How fast the platform is, against what its providers take and against bare references.

``python -m bench`` runs all of it on loopback providers of a fixed pace; docs/performance.md
says what is measured and how.
"""
