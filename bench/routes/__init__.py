"""What many routes cost, through the management API: `make bench-routes`.

A real edge, with its database on the disk, and an agent in front of nginx. Routes come as an operator brings them: one
by one with POST, or all at once with `PUT /v1/config`.
"""
