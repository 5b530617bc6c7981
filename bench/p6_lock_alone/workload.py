"""P6: a lock that nobody else wants."""
from harness.contender import cpp, go, weft
from harness.workload import Case, Workload

_FOLDER = "p6_lock_alone"
_SMOKE = ("--count", "20000", "--repeat", "1")


class WORKLOAD(Workload):
    key = "p6"
    title = "Lock, nobody else: lock and unlock"
    target = "at most 0.85 of std::mutex"
    # The peers know no fibers: in the second case they run on a thread again, and Go in a goroutine both times.
    cases = [Case("on a thread", smoke=_SMOKE, weft_arguments=("--on", "thread")),
             Case("on a fiber", smoke=_SMOKE, weft_arguments=("--on", "fiber"))]
    contenders = [
        weft(_FOLDER),
        cpp(_FOLDER, "std_mutex", "std::mutex"),
        go(_FOLDER),
        cpp(_FOLDER, "absl_mutex", "absl::Mutex", "libabsl-dev"),
    ]
