"""P14: tasks for a pool of processes."""
import pathlib

from harness.contender import Contender, cpp, weft
from harness.workload import Case, Workload

_FOLDER = "p14_process_pool"
_HERE = pathlib.Path(__file__).resolve().parent

_SUBMIT = Case("5,000 tasks, two workers", ("--job", "submit", "--count", "5000", "--repeat", "7"),
               smoke=("--job", "submit", "--count", "500", "--repeat", "1"), cores="all")
_MAP = Case("map of 200,000 integers", ("--job", "map", "--count", "200000", "--repeat", "7"), cores="all")
_AWAKE = Case("round trip, one worker, awake", ("--job", "trip", "--count", "20000", "--workers", "1", "--spin"), cores="all")
_ASLEEP = Case("round trip, one worker, asleep", ("--job", "trip", "--count", "1000", "--workers", "1", "--pause", "2000"), cores="all")


class WORKLOAD(Workload):
    key = "p14"
    title = "a pool of processes: small tasks, maps and round trips, per task, element or trip"
    target = "submits 600 ns; map 10 ns an element; a trip 1,000 ns awake, asleep 1.3 of the bare futex"
    cases = [_SUBMIT, _MAP, _AWAKE, _ASLEEP]
    contenders = [
        weft(_FOLDER),
        weft(_FOLDER, "weft, from a fiber", arguments=("--from", "fiber")),
        cpp(_FOLDER, "futex", "bare shared memory and futex", skips=(_SUBMIT.name, _MAP.name)),
        Contender("CPython", "/usr/bin/python3", (f"{_HERE}/python.py",), needs="python3"),
    ]
