"""Whether the agent's upstreams can take requests, as checks and requests show it.

`Standing` decides, without I/O, from what is seen of one upstream; `probe` has a look; a `Watcher` does both for one
upstream at its times; `HealthWatch` has one for each and says when something has changed.
"""

from .watch import HealthWatch

__all__ = ["HealthWatch"]
