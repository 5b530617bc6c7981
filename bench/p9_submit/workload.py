"""P9: small tasks for a pool of two."""
import pathlib

from harness.contender import Contender, cpp, go, weft
from harness.workload import Case, Workload

_FOLDER = "p9_submit"
_HERE = pathlib.Path(__file__).resolve().parent
_TASKS = 300_000


def _case(times: float = 1) -> Case:
    count = round(_TASKS * times)
    return Case(f"{count:,} tasks", ("--count", str(count)), smoke=("--count", "2000", "--repeat", "1"))


_LARGE = (_case(10).name,)  # one thread, or one interpreter, each: too slow to wait for


class WORKLOAD(Workload):
    key = "p9"
    title = "submit tasks to a pool of two threads, then take every result, per task"
    target = "at most 120 ns with results; the number does not matter"
    cases = [_case(), _case(0.01), _case(0.1), _case(10)]
    contenders = [
        weft(_FOLDER),
        weft(_FOLDER, "weft, fibers", arguments=("--on", "fibers")),
        cpp(_FOLDER, "asio", "Asio, use_future", "libboost1.81-dev"),
        cpp(_FOLDER, "tbb", "TBB, packaged_task", "libtbb-dev"),
        go(_FOLDER),
        cpp(_FOLDER, "std_async", "std::async", skips=_LARGE),
        Contender("Python", "/usr/bin/python3", (f"{_HERE}/python.py",), needs="python3", skips=_LARGE),
    ]
