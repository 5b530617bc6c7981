"""A workload: the same job given to weft and to its peers, in one or several cases (sizes, variants)."""
import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys

from harness.contender import Contender


class RunFailed(Exception):
    """A contender that is installed did not do its job."""


@dataclasses.dataclass(frozen=True)
class Column:
    """One figure of a result: `key` is its name in what a program prints."""

    key: str
    label: str
    unit: str = "ns"
    scale: float = 1.0
    digits: int = 1

    def show(self, value) -> str:
        return "" if value is None else f"{value * self.scale:,.{self.digits}f}"


WALL = Column("ns_per_op", "wall")
CPU = Column("cpu_ns_per_op", "CPU")
COLD = Column("cold_ns_per_op", "cold")


@dataclasses.dataclass(frozen=True)
class Case:
    """One size or variant. `cores` pins the program: "one" to the first core, "two" to the first two, "all" to none in
    particular."""

    name: str
    arguments: tuple = ()
    smoke: tuple = ()  # replaces `arguments` under --smoke
    cores: str = "one"
    weft_arguments: tuple = ()  # for weft only: --workers
    values: dict = dataclasses.field(default_factory=dict)  # for workloads that measure in their own way


@dataclasses.dataclass
class Options:
    """What the command line of bench/compare asks for."""

    source_dir: pathlib.Path
    build_dir: pathlib.Path
    rounds: int = 0  # 0: the workload's own number
    smoke: bool = False
    seconds: float = 3.0
    scale: float = 1.0
    directory: pathlib.Path | None = None
    only: tuple = ()  # names of contenders
    cases: tuple = ()  # parts of names of cases


def cores() -> list:
    """The cores that may be used, in order."""
    return sorted(os.sched_getaffinity(0))


def parse_figures(output: str) -> dict:
    """The name=number pairs of a program's last line that has any."""
    for line in reversed(output.splitlines()):
        pairs = [word.split("=", 1) for word in line.split() if "=" in word]
        if pairs:
            return {name: float(value) for name, value in pairs}
    raise RunFailed(f"printed no figures: {output[-200:]!r}")


def run_program(command: list, environment: dict | None = None, timeout: float = 600) -> dict:
    """Runs one program and returns its figures."""
    try:
        done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True,
                              timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunFailed(str(error)) from error
    if done.returncode != 0:
        raise RunFailed(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return parse_figures(done.stdout)


class Workload:
    """Programs that time themselves and print one line. Others override measure()."""

    key = ""
    title = ""
    target = ""
    unit_note = ""  # what one operation is, when the title does not say it
    rounds = 5
    columns = [WALL, CPU, COLD]  # the first is the one that ratios are taken of
    shows_ratio = True
    targets = ()  # CMake targets it needs beside its own
    cases: list = []
    contenders: list = []

    def __init__(self, folder: str):
        self.folder = folder

    def selected_cases(self, options: Options) -> list:
        cases = self.cases[:1] if options.smoke and not options.cases else self.cases
        return [case for case in cases if not options.cases or any(part in case.name for part in options.cases)]

    def prepare(self, options: Options) -> None:
        """Called once before the first round."""

    def finish(self, options: Options) -> None:
        """Called once after the last round."""

    def measure(self, contender: Contender, case: Case, options: Options) -> dict:
        command = contender.command(options.build_dir)
        command += (case.smoke if options.smoke else case.arguments)
        environment = dict(contender.environment)
        if contender.is_weft:
            command += case.weft_arguments
        if pinned := {"one": 1, "two": 2}.get(case.cores):
            command = ["taskset", "-c", ",".join(map(str, cores()[:pinned])), *command]
            environment.setdefault("GOMAXPROCS", str(pinned))
        return run_program(command, environment)


@dataclasses.dataclass
class Result:
    """All rounds of one contender in one case; a round that failed holds None."""

    rounds: list = dataclasses.field(default_factory=list)
    failure: str = ""

    def median(self, key: str):
        values = [figures[key] for figures in self.rounds if figures and key in figures]
        return statistics.median(values) if values else None

    def mean(self, key: str):
        values = [figures[key] for figures in self.rounds if figures and key in figures]
        return statistics.fmean(values) if values else None


def paired_ratio(ours: Result, theirs: Result, key: str):
    """The median over the rounds of ours / theirs, each pair measured one after the other."""
    ratios = [a[key] / b[key] for a, b in zip(ours.rounds, theirs.rounds)
              if a and b and a.get(key) is not None and b.get(key)]
    return statistics.median(ratios) if ratios else None


@dataclasses.dataclass
class Outcome:
    """What came of one workload."""

    workload: Workload
    results: dict  # (case name, contender name) -> Result
    missing: dict  # contender name -> reason
    cases: list
    contenders: list

    def failures(self) -> list:
        listed = [f"{self.workload.key} {case}, {contender}: {result.failure}"
                  for (case, contender), result in self.results.items() if result.failure]
        ours = [contender.name for contender in self.workload.contenders if contender.is_weft]
        return listed + [f"{self.workload.key} {name}: {self.missing[name]}" for name in ours if name in self.missing]


def run(workload: Workload, options: Options) -> Outcome:
    """Runs every contender of `workload` in turns, round after round; another one begins in each round, as what runs
    first, or after a certain other one, may have it harder."""
    wanted = [c for c in workload.contenders if not options.only or c.name in options.only]
    missing = {c.name: reason for c in wanted if (reason := c.missing(options.build_dir))}
    contenders = [c for c in wanted if c.name not in missing]
    cases = workload.selected_cases(options)
    results = {(case.name, c.name): Result() for case in cases for c in contenders if case.name not in c.skips}
    rounds = 1 if options.smoke else options.rounds or workload.rounds
    try:
        workload.prepare(options)
        for number in range(rounds):
            first = number % max(1, len(contenders))
            for case in cases:
                for contender in contenders[first:] + contenders[:first]:
                    result = results.get((case.name, contender.name))
                    if result is None or result.failure:
                        continue
                    note = f"{workload.key} round {number + 1}/{rounds}: {case.name}, {contender.name}"
                    if sys.stderr.isatty():
                        print(f"\r\033[K{note}", end="", file=sys.stderr, flush=True)
                    try:
                        result.rounds.append(workload.measure(contender, case, options))
                    except RunFailed as failure:
                        result.rounds.append(None)
                        result.failure = str(failure)
    finally:
        workload.finish(options)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    return Outcome(workload, results, missing, cases, contenders)
