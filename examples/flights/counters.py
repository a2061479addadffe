"""What the nodes counted: what ran on each, and what travelled between them, and how.

The figures are the nodes' own, as ``dcfnode status --json`` reports them; only what ran in this
process comes from this process's worker.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import cluster

if TYPE_CHECKING:
    import dcf

#: How long a status may take.
STATUS_SECONDS = 30.0

_WAYS = ("shm", "tcp", "unix")


class Link(NamedTuple):
    """What passed between two nodes, in both directions."""

    bytes: int
    frames: int
    over: str = ""  # "shm", "tcp", "unix"; both ways may differ: "shm and tcp"


class Counters(NamedTuple):
    """The counters at one moment, or what they grew by."""

    calculates: dict[int, int]  # by node
    links: dict[tuple[int, int], Link]  # by nodes, the one whose sockets were asked first

    def since(self, before: Counters) -> Counters:
        """Gives what was added since an earlier moment."""
        ran = {node: n - before.calculates.get(node, 0) for node, n in self.calculates.items()}
        links = {}
        for ends, now in self.links.items():
            then = before.links.get(ends, Link(0, 0))
            links[ends] = Link(now.bytes - then.bytes, now.frames - then.frames, now.over)
        return Counters(ran, links)


def status(dcfnode: str, address: str) -> dict[str, Any]:
    """Gives what ``dcfnode status --json`` says of a cluster."""
    done = subprocess.run(  # noqa: S603 - our own program
        cluster.tied([dcfnode, "status", "--json", address]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=STATUS_SECONDS,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise cluster.ProcessError(f"dcfnode status {address}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def of_nodes(report: dict[str, Any], client: int) -> Counters:
    """Reads a report: the members' counters, with each other and with the client.

    Others, such as the guest that asked for the report, are left out.
    """
    members = [node for node in report["nodes"] if node["role"] != "guest"]
    ids = {node["node"] for node in members}
    calculates = {node["node"]: node["counters"]["calculates"] for node in members}
    links = {}
    for node in members:
        for peer in node["peers"]:
            # Both ends of a connection between members count it: the lower id speaks for it.
            if peer["node"] == client or (peer["node"] in ids and node["node"] < peer["node"]):
                c = peer["counters"]
                links[node["node"], peer["node"]] = Link(
                    c["bytes.sent"] + c["bytes.received"],
                    c["frames.sent"] + c["frames.received"],
                    " and ".join(sorted(way for way in _WAYS if c[f"sessions.{way}"] > 0)),
                )
    return Counters(calculates, links)


def take(dcfnode: str, address: str, client: dcf.Worker) -> Counters:
    """Takes the counters of a cluster's nodes and of this process's worker."""
    counters = of_nodes(status(dcfnode, address), client.node_id)
    for row in client.stats().to_pylist():
        if row["name"] == "calculates":
            counters.calculates[client.node_id] = row["value"]
    return counters
