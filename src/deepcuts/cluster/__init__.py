"""The costly stages on Ray: the same artifacts, settings and errors as on one machine, from many worker processes.

    with running(parse_on("ray=4")) as cluster:
        made = fit(plays, settings, engine=ray_engine(cluster))

A stage knows nothing of Ray. It takes the part of its work that can be spread as an argument, and this folder gives it
one that runs in tasks. Ray itself is loaded when a cluster starts, so everything else works without it.
"""

from deepcuts.cluster.place import ClusterSettings, parse_on
from deepcuts.cluster.tasks import Cluster, running

__all__ = ["Cluster", "ClusterSettings", "parse_on", "running"]
