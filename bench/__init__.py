"""What the way through edge and agent costs, measured fairly.

`python -m bench` starts real programs on loopback and loads them: an application (nginx), and in turn, in each of
several rounds, every system of `systems`: nothing at all, Backplane with each of its engines, and the peers that are
there. Machines differ and so do moments, so the figures to look at are the ratios: each round measures the systems one
right after the other, and a ratio is taken within a round.

`measures` says what is measured, as cases; `load` has the clients, `cost` reads what a program has used, `results` and
`report` sum up. A measurement in which anything went wrong is shouted about and not counted.
"""
