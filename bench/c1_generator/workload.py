"""C1: the price of a value from a generator."""
from harness.contender import cpp, weft
from harness.workload import Case, Workload

_FOLDER = "c1_generator"


def _case(name: str, depth: str) -> Case:
    return Case(name, ("--depth", depth), smoke=("--depth", depth, "--count", "20000", "--repeat", "1"))


class WORKLOAD(Workload):
    key = "c1"
    title = "a value from a generator, summed up in a loop"
    target = "within 3 ns of a bare coroutine, at any depth of delegation"
    cases = [_case("one generator", "1"), _case("delegated through 10", "10")]
    contenders = [weft(_FOLDER), cpp(_FOLDER, "bare", "bare coroutine")]
