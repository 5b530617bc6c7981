"""P10: a task for a pool that sleeps."""
from harness.contender import cpp, go, weft
from harness.workload import Case, Column, Workload

_FOLDER = "p10_first_run"


def _case(idle: str, pause_us: int, rounds: int, cores: str) -> Case:
    pause = ("--pause-us", str(pause_us))
    return Case(f"idle for {idle}" + (", one core" if cores == "one" else ""), ("--rounds", str(rounds), *pause),
                smoke=("--rounds", "50", *pause), cores=cores)


class WORKLOAD(Workload):
    key = "p10"
    title = "from an outside thread's hand-over of a task to an idle pool of two until it runs"
    target = "within 1.2 of a bare futex wake-up"
    columns = [
        Column("ns_per_op", "median", "us", 1e-3, 2),
        Column("p99_ns", "99th percentile", "us", 1e-3, 1),
        Column("cold_ns_per_op", "first", "us", 1e-3, 1),
        Column("cpu_ns_per_op", "CPU", "us", 1e-3, 1),
    ]
    # With several cores the kernel chooses anew in each run whether the woken thread begins on the core of the one that
    # wakes it or on another, which may have to be woken first: on a virtual machine that takes twenty times as long. One
    # core leaves it no choice. TBB's workers go on looking for work for some milliseconds: after 0.2 ms they are awake, as
    # their CPU time shows.
    cases = [_case("0.2 ms", 200, 5000, "one"), _case("0.2 ms", 200, 5000, "all"), _case("5 ms", 5000, 500, "all")]
    contenders = [
        weft(_FOLDER),
        cpp(_FOLDER, "futex", "bare futex"),
        cpp(_FOLDER, "asio", "Asio", "libboost1.81-dev"),
        cpp(_FOLDER, "tbb", "TBB", "libtbb-dev"),
        go(_FOLDER),
        cpp(_FOLDER, "std_async", "std::async"),
    ]
