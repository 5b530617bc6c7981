"""P17: a pipe between two processes."""
import pathlib

from harness.contender import Contender, cpp, weft
from harness.workload import Case, Workload

_FOLDER = "p17_pipe"
_HERE = pathlib.Path(__file__).resolve().parent


class WORKLOAD(Workload):
    key = "p17"
    title = "64 bytes to another process and back"
    target = "at most 1.1 of the bare socketpair"
    cases = [Case("64 bytes", ("--count", "50000"), smoke=("--count", "500", "--repeat", "1"))]
    contenders = [
        weft(_FOLDER),
        weft(_FOLDER, "weft, a fiber here", arguments=("--on", "fibers")),
        cpp(_FOLDER, "socketpair", "socketpair"),
        cpp(_FOLDER, "pipe", "two pipes"),
        Contender("Python", "/usr/bin/python3", (f"{_HERE}/python.py",), needs="python3"),
    ]
