"""P1: the price of a switch."""
from harness.contender import cpp, go, weft
from harness.workload import Case, Workload

_FOLDER = "p1_yield"


def _case(name: str, bodies: str) -> Case:
    return Case(name, ("--bodies", bodies), smoke=("--bodies", bodies, "--count", "20000", "--repeat", "1"))


class WORKLOAD(Workload):
    key = "p1"
    title = "yield between two fibers on one worker, per switch"
    target = "at most 15 ns with one body, 22 with two: under half of Go"
    cases = [_case("one body", "1"), _case("two bodies", "2")]
    contenders = [
        weft(_FOLDER),
        cpp(_FOLDER, "boost_context", "bare Boost.Context", "libboost-context1.81-dev"),
        go(_FOLDER),
        cpp(_FOLDER, "boost_fiber", "Boost.Fiber", "libboost-fiber1.81-dev"),
    ]
