"""P2: many fibers that have nothing to do."""
from harness.contender import go, weft
from harness.workload import Case, Workload

_FOLDER = "p2_spawn_many"
_SPAWNED_IN_ALL = 1_000_000


def _case(count: int, cores: str) -> Case:
    workers = "one worker" if cores == "one" else "a worker a core"
    return Case(f"{count:,} fibers, {workers}",
                ("--count", str(count), "--batches", str(_SPAWNED_IN_ALL // count)),
                smoke=("--count", "1000", "--repeat", "1"), cores=cores,
                weft_arguments=("--workers", "1" if cores == "one" else "0"))


class WORKLOAD(Workload):
    key = "p2"
    title = "spawn N empty fibers from a fiber and wait for all, per fiber"
    target = "at most 0.6 of Go"
    cases = [_case(count, cores) for cores in ("all", "one") for count in (1_000_000, 100_000, 10_000, 1_000)]
    contenders = [weft(_FOLDER), weft(_FOLDER, "weft, join_all", arguments=("--wait", "join")), go(_FOLDER)]
