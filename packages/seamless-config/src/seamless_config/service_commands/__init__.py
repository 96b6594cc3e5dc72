"""The commands seamless-service-*: look at, start, stop and clear the services of a cluster, project and stage.

Each command is a module with a `main`. They turn what the user calls a service into the launcher's key and the host
where it runs, and have the launcher's helpers do the work there.
"""

from __future__ import annotations

__all__ = ()
