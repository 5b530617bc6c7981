"""P7: a lock that many want."""
import dataclasses

from harness.contender import Contender, cpp, go, weft
from harness.workload import CPU, WALL, Case, Column, Options, Workload, run_program

_FOLDER = "p7_lock_contended"


def _case(name: str, threads: int, inside_ns: float = 0, outside_ns: float = 0, milliseconds: int = 1000) -> Case:
    return Case(f"{threads} threads, {name}", ("--threads", str(threads), "--milliseconds", str(milliseconds)),
                smoke=("--threads", str(threads), "--milliseconds", "20"), cores="all",
                values={"inside": inside_ns, "outside": outside_ns})


class WORKLOAD(Workload):
    key = "p7"
    title = "Lock, all threads at it, per turn; fairness is the fewest turns of a thread / the most"
    target = "at most 0.5 of std::mutex with nothing outside, 1.1 with work, 1.2 with 64 threads; fairness at least 0.7"
    columns = [WALL, CPU, Column("fairness", "fairness", "", digits=2)]
    cases = [
        _case("nothing outside", 2),
        _case("25 ns outside", 2, outside_ns=25),
        _case("100 ns inside", 2, inside_ns=100),
        _case("nothing outside", 8),
        # Longer, as each gets to run a thirtieth of the time only.
        _case("nothing outside", 64, milliseconds=3000),
    ]
    contenders = [
        weft(_FOLDER),
        cpp(_FOLDER, "std_mutex", "std::mutex"),
        cpp(_FOLDER, "absl_mutex", "absl::Mutex", "libabsl-dev"),
        go(_FOLDER),
    ]
    _step_ns = 1.0

    def prepare(self, options: Options) -> None:
        # Once for all: every program does the same number of steps.
        self._step_ns = run_program([str(options.build_dir / "bench" / "common" / "calibrate")])["work_step_ns"]

    def measure(self, contender: Contender, case: Case, options: Options) -> dict:
        steps = [word for where, ns in case.values.items() for word in (f"--{where}", str(round(ns / self._step_ns)))]
        return super().measure(contender, dataclasses.replace(case, arguments=(*case.arguments, *steps),
                                                              smoke=(*case.smoke, *steps)), options)
