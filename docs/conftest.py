"""The pages are doctests; what sphinx makes is not."""

collect_ignore = ["conf.py", "_build", "auto_examples", "generated"]
