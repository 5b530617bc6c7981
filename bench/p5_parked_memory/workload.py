"""P5: fibers that only wait."""
from harness.contender import cpp, go, weft
from harness.workload import Case, Column, Workload

_FOLDER = "p5_parked_memory"


class WORKLOAD(Workload):
    key = "p5"
    title = "memory of a parked fiber, page tables counted, and the price of spawning it"
    target = "at most 4.7 KiB (4,813 bytes) on Linux 6.13 and newer; a cold spawn at most 2.5 us"
    columns = [
        Column("bytes_per_fiber", "memory", "bytes", digits=0),
        Column("resident_bytes", "resident", "bytes", digits=0),
        Column("page_table_bytes", "page tables", "bytes", digits=0),
        Column("mappings", "mappings", "", digits=0),
        Column("ns_per_op", "spawn until parked", "ns", digits=0),
        Column("cpu_ns_per_op", "CPU", "ns", digits=0),
        Column("release_ns", "wake and end", "ns", digits=0),
    ]
    cases = [Case(f"{count:,} fibers", ("--count", str(count)), smoke=("--count", "1000"))
             for count in (1_000_000, 100_000, 10_000, 1_000)]
    contenders = [weft(_FOLDER), cpp(_FOLDER, "page_touch", "bare page touch"), go(_FOLDER)]
