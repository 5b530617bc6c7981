"""P8: a bounded queue between many."""
from harness.contender import cpp, go, weft
from harness.workload import Case, Workload

_FOLDER = "p8_queue"
_ITEMS = 2_000_000
_CROWDS = (1, 2, 4)


def _case(on: str, crowd: int, times: float = 1) -> Case:
    what = {"threads": "threads", "fibers": "fibers", "both": "threads to fibers"}[on]
    size = "" if times == 1 else f", {round(_ITEMS * times):,} items"
    crowd_arguments = ("--producers", str(crowd), "--consumers", str(crowd))
    return Case(f"{what}, {crowd} to {crowd}{size}", ("--count", str(round(_ITEMS * times)), *crowd_arguments),
                smoke=("--count", "20000", "--repeat", "1", *crowd_arguments), weft_arguments=("--on", on),
                # Runtimes of two workers, so Go gets two as well. Threads that feed fibers come on top of those.
                cores="two" if on == "fibers" else "all")


_THREADS = [_case("threads", crowd) for crowd in _CROWDS]
_SIZES = [_case("threads", 1, 0.1), _case("threads", 1, 10)]
_FIBERS = [_case("fibers", crowd) for crowd in _CROWDS]
_BOTH = [_case("both", crowd) for crowd in _CROWDS]


def _names(*groups: list) -> tuple:
    return tuple(case.name for group in groups for case in group)


_NOT_FOR_FIBERS = _names(_FIBERS, _BOTH)


class WORKLOAD(Workload):
    key = "p8"
    title = "numbers through a queue of 1,024, as many producers as consumers, per item"
    target = "at most 0.8 of Go, faster than each C++ peer that blocks; the size does not matter"
    cases = [*_THREADS, *_SIZES, *_FIBERS, *_BOTH]
    contenders = [
        weft(_FOLDER),
        go(_FOLDER),
        cpp(_FOLDER, "std_deque", "deque and mutex", skips=_NOT_FOR_FIBERS),
        cpp(_FOLDER, "moodycamel", "moodycamel, unbounded", "libconcurrentqueue-dev", skips=_NOT_FOR_FIBERS),
        cpp(_FOLDER, "tbb", "TBB", "libtbb-dev", skips=_NOT_FOR_FIBERS),
        cpp(_FOLDER, "boost_fiber", "Boost.Fiber, one thread", "libboost-fiber1.81-dev",
            skips=_names(_THREADS, _SIZES, _BOTH)),
        cpp(_FOLDER, "boost_fiber", "Boost.Fiber, two threads", "libboost-fiber1.81-dev", arguments=("--threads", "2"),
            skips=_names(_THREADS, _SIZES, _BOTH)),
        cpp(_FOLDER, "boost_fiber", "Boost.Fiber", "libboost-fiber1.81-dev", arguments=("--on", "both"),
            skips=_names(_THREADS, _SIZES, _FIBERS)),
    ]
