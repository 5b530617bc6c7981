"""P16: a queue between processes."""
import pathlib

from harness.contender import Contender, cpp, weft
from harness.workload import Case, Workload

_FOLDER = "p16_process_queue"
_HERE = pathlib.Path(__file__).resolve().parent
_ITEMS = 300_000


def _case(crowd: int, times: float = 1) -> Case:
    count = round(_ITEMS * times)
    size = "" if times == 1 else f", {count:,} items"
    crowd_arguments = ("--producers", str(crowd), "--consumers", str(crowd))
    return Case(f"{crowd} to {crowd}{size}", ("--count", str(count), *crowd_arguments),
                smoke=("--count", "20000", "--repeat", "1", *crowd_arguments))


_LARGE = (_case(1, 10).name,)  # some ten microseconds an item: too slow to wait for


def _python(kind: str) -> Contender:
    return Contender(f"Python, {kind}", "/usr/bin/python3", (f"{_HERE}/python.py", "--kind", kind), needs="python3",
                     skips=_LARGE)


class WORKLOAD(Workload):
    key = "p16"
    title = "numbers through a queue between processes, as many producers as consumers, per item"
    target = "at most 0.3 us from one process to one, 0.5 us from two to two; the size does not matter"
    cases = [_case(1), _case(2), _case(4), _case(1, 10)]
    contenders = [
        weft(_FOLDER),
        weft(_FOLDER, "weft, bounded to 1,024", arguments=("--maxsize", "1024")),
        cpp(_FOLDER, "pipe", "bare pipe"),
        cpp(_FOLDER, "boost_message_queue", "Boost.Interprocess, 1,024", "libboost1.81-dev"),
        _python("Queue"),
        _python("SimpleQueue"),
    ]
