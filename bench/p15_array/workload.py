"""P15: a large array goes to a process worker and comes back."""
import dataclasses
import pathlib

from harness.contender import Contender, cpp, weft
from harness.workload import COLD, CPU, WALL, Case, Workload

_FOLDER = "p15_array"
_HERE = pathlib.Path(__file__).resolve().parent


def _case(mebibytes: int) -> Case:
    # The first trips of a value take new pages, the later ones those that are there.
    return Case(f"{mebibytes} MiB", ("--size", str(mebibytes << 20), "--repeat", "7"), smoke=("--size", str(1 << 20), "--repeat", "1"),
                cores="two")


class WORKLOAD(Workload):
    key = "p15"
    title = "an array to a process worker and back, per round trip"
    target = "by shared memory at most 1 ms; by value at half of memcpy speed or better"
    columns = [dataclasses.replace(column, unit="ms", scale=1e-6, digits=2) for column in (WALL, CPU, COLD)]
    rounds = 3
    cases = [_case(256), _case(1), _case(16)]
    contenders = [
        weft(_FOLDER, "weft, by shared memory", arguments=("--by", "memory")),
        weft(_FOLDER, "weft, by value", arguments=("--by", "value")),
        cpp(_FOLDER, "copy", "memcpy alone, warm"),
        cpp(_FOLDER, "copy", "memcpy alone, to new vectors", arguments=("--to", "new")),
        cpp(_FOLDER, "copy", "memcpy alone, to new vectors in huge pages", arguments=("--to", "huge")),
        cpp(_FOLDER, "socketpair", "socketpair, warm"),
        Contender("Python, SharedMemory", "/usr/bin/python3", (f"{_HERE}/python.py", "--by", "memory"), needs="python3"),
        Contender("Python, pickled through a Pipe", "/usr/bin/python3", (f"{_HERE}/python.py",), needs="python3"),
    ]
