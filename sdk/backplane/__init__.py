"""Backplane for those who use it: the `backplane` command (`backplane.cli`), which servers add verbs to."""
