"""A worker that knows the function `delays`: it serves until it gets SIGTERM.

python worker.py --node-id 1
python worker.py --node-id 2 --join tcp://127.0.0.1:40123
"""

from __future__ import annotations

import argparse
import os
import signal

import dcf

import delays


def main() -> None:
    """Opens the worker, says where it listens, and closes it when it is asked to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--node-id", type=int, default=0)
    parser.add_argument("--join", default=None)
    options = parser.parse_args()

    # Whichever thread takes a signal, and however many come, the main one reads it here.
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    listen = "tcp://127.0.0.1:0"
    with dcf.open(listen=listen, join=options.join, node_id=options.node_id) as worker:
        delays.warm_up()
        worker.register(delays.function(delays.VERSION))
        print(f"listening on {worker.addresses[0]} node {worker.node_id}", flush=True)
        os.read(told, 1)


if __name__ == "__main__":
    main()
