"""What the tunnel costs, measured beside going to the application directly.

`python -m bench` runs the real programs on loopback: an application (nginx, or the tests' origin where there is none),
an edge with its access log in a file, and an agent. Machines differ and so do moments, so the figures to look at are
the ratios: each round measures `direct` and `tunnel` one right after the other, and a ratio is taken within a round.

`load` drives small requests, `bulk` moves large bodies, `cost` reads what a program has used, `report` sums up.
"""
