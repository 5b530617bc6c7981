"""P3: one fiber at a time."""
from harness.contender import cpp, go, weft
from harness.workload import Case, Workload

_FOLDER = "p3_spawn_join"
_SMOKE = ("--count", "500", "--repeat", "1")


class WORKLOAD(Workload):
    key = "p3"
    title = "spawn an empty fiber and join it, one by one"
    target = "at most 0.4 of Go"
    cases = [Case("a worker a core", smoke=_SMOKE, cores="all", weft_arguments=("--workers", "0")),
             Case("one worker", smoke=_SMOKE, cores="one", weft_arguments=("--workers", "1"))]
    contenders = [
        weft(_FOLDER),
        go(_FOLDER),
        cpp(_FOLDER, "boost_fiber", "Boost.Fiber", "libboost-fiber1.81-dev"),
        cpp(_FOLDER, "std_thread", "std::thread"),
    ]
