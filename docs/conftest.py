"""The pages are doctests; what sphinx makes is not.

Decimal numbers of their outputs may be somewhat off (``rough_numbers`` in ``conftest.py`` above).
Draws, which differ on another machine, are shown with the flag ``+SKIP``, which a built page leaves
out. ``python docs/refresh.py`` writes the present outputs.
"""

collect_ignore = [
    "conf.py",
    "estimator_checks.py",
    "folded.py",
    "gallery.py",
    "refresh.py",
    "_build",
    "auto_examples",
    "generated",
]
