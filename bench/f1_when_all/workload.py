"""F1: one result of many."""
from harness.contender import go, weft
from harness.workload import Case, Workload

_FOLDER = "f1_when_all"


def _case(count: int) -> Case:
    return Case(f"{count:,} tasks", ("--count", str(count)), smoke=("--count", "1000", "--repeat", "1"))


class WORKLOAD(Workload):
    key = "f1"
    title = "when_all over tasks of a pool of two threads, per task"
    target = "the number does not matter"
    cases = [_case(1_000), _case(10_000), _case(100_000), _case(1_000_000)]
    contenders = [
        weft(_FOLDER),
        weft(_FOLDER, "weft, wait", arguments=("--how", "wait")),
        weft(_FOLDER, "weft, get each", arguments=("--how", "get")),
        go(_FOLDER, "Go, WaitGroup"),
    ]
