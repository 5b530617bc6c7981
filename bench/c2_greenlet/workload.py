"""C2: the price of a switch between greenlets."""
from harness.contender import cpp, weft
from harness.workload import Case, Workload

_FOLDER = "c2_greenlet"


def _case(name: str, bodies: str) -> Case:
    return Case(name, ("--bodies", bodies), smoke=("--bodies", bodies, "--count", "20000", "--repeat", "1"))


class WORKLOAD(Workload):
    key = "c2"
    title = "two greenlets switch to each other with a value, per switch"
    target = "as p1: at most 15 ns with one body, 22 with two"
    cases = [_case("one body", "1"), _case("two bodies", "2")]
    contenders = [weft(_FOLDER), cpp(_FOLDER, "boost_context", "bare Boost.Context", "libboost-context1.81-dev")]
