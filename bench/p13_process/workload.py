"""P13: one child process at a time."""
import pathlib

from harness.contender import Contender, cpp, weft
from harness.workload import Case, Workload

_FOLDER = "p13_process"
_HERE = pathlib.Path(__file__).resolve().parent


def _weft(method: str, count: int) -> Contender:
    return weft(_FOLDER, f"weft, {method}", arguments=("--by", method, "--count", str(count)))


def _python(method: str, count: int) -> Contender:
    return Contender(f"Python, {method}", "/usr/bin/python3", (f"{_HERE}/python.py", "--by", method, "--count", str(count)),
                     needs="python3", against=f"weft, {method}")


class WORKLOAD(Workload):
    key = "p13"
    title = "start a child process that does nothing and join it, one by one"
    target = "at most 300 us by fork, 500 us by forkserver, 5 ms by spawn"
    cases = [Case("one at a time", smoke=("--count", "5", "--repeat", "1"), cores="all")]
    contenders = [
        _weft("fork", 300),
        _weft("forkserver", 300),
        _weft("spawn", 100),
        cpp(_FOLDER, "bare", "fork and waitpid"),
        _python("fork", 100),
        _python("forkserver", 100),
        _python("spawn", 10),
    ]
