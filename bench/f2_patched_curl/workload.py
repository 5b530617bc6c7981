"""F2: libcurl as it is, patched."""
from harness.contender import cpp, weft
from harness.workload import Case, Workload

_FOLDER = "f2_patched_curl"


def _case(at_once: int) -> Case:
    return Case(f"{at_once} at once", ("--at-once", str(at_once)),
                smoke=("--count", "64", "--at-once", str(at_once), "--repeat", "1"))


class WORKLOAD(Workload):
    key = "f2"
    title = "a small page over HTTP with libcurl, many at once, connections kept, per page"
    target = "none: what patching costs beside the multi interface"
    cases = [_case(1), _case(64)]
    contenders = [
        weft(_FOLDER, "weft, patched"),
        cpp(_FOLDER, "multi", "libcurl multi", "libcurl4-openssl-dev"),
        cpp(_FOLDER, "threads", "a thread each", "libcurl4-openssl-dev"),
    ]
