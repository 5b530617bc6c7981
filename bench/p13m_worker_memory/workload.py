"""P13m: idle workers of a process pool."""
import pathlib

from harness.contender import Contender, weft
from harness.workload import Case, Column, Workload

_FOLDER = "p13m_worker_memory"
_HERE = pathlib.Path(__file__).resolve().parent
_METHODS = ("fork", "forkserver", "spawn")


class WORKLOAD(Workload):
    key = "p13m"
    title = "memory of an idle worker of a process pool, after one small task, each of four"
    target = "less than CPython's by the same start method"
    columns = [
        Column("pss_bytes", "share", "bytes", digits=0),  # what several processes map counts in parts
        Column("private_bytes", "its own", "bytes", digits=0),
        Column("resident_bytes", "resident", "bytes", digits=0),
        Column("page_table_bytes", "page tables", "bytes", digits=0),
    ]
    cases = [Case("four workers", smoke=("--workers", "1"), cores="all")]
    contenders = [
        *(weft(_FOLDER, f"weft, {method}", arguments=("--by", method)) for method in _METHODS),
        *(Contender(f"CPython, {method}", "/usr/bin/python3", (f"{_HERE}/python.py", "--by", method), needs="python3",
                    against=f"weft, {method}") for method in _METHODS),
    ]
