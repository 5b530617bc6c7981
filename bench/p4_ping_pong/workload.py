"""P4: two fibers that wait for each other."""
from harness.contender import cpp, go, weft
from harness.workload import Case, Workload

_FOLDER = "p4_ping_pong"


class WORKLOAD(Workload):
    key = "p4"
    title = "ping-pong through two one-slot queues between two fibers on one worker, per round trip"
    target = "at most 0.4 of Go's unbuffered channels"
    cases = [Case("round trip", smoke=("--count", "20000", "--repeat", "1"))]
    contenders = [
        weft(_FOLDER),
        go(_FOLDER, "Go, unbuffered"),
        go(_FOLDER, "Go, one slot", arguments=("--slots", "1")),
        cpp(_FOLDER, "boost_fiber", "Boost.Fiber, buffered", "libboost-fiber1.81-dev"),
        cpp(_FOLDER, "boost_fiber", "Boost.Fiber, unbuffered", "libboost-fiber1.81-dev",
            arguments=("--channel", "unbuffered")),
    ]
