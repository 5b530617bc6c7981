"""P22: what including a header costs whoever compiles."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from harness.contender import Contender
from harness.workload import Case, Column, Options, RunFailed, Workload

_STANDARD = ("mutex", "thread", "future")
_PEERS = ("boost/fiber/all.hpp", "boost/asio.hpp")


def _public_headers(source_dir: pathlib.Path) -> list:
    include = source_dir / "include"
    return sorted(str(path.relative_to(include)) for path in include.glob("weft/**/*.hpp")
                  if "detail" not in path.relative_to(include).parts)


class WORKLOAD(Workload):
    key = "p22"
    title = "compile time added by one header at -O2, beside an empty source"
    target = "0.5 s each, the serialization header 1.0, weft/weft.hpp 1.5"
    shows_ratio = False
    columns = [Column("ns_per_op", "wall", "s", 1e-9, 2), Column("cpu_ns_per_op", "CPU", "s", 1e-9, 2)]
    contenders = [Contender("g++", "g++", needs="g++"), Contender("clang++", "clang++-16", needs="clang-16")]

    def selected_cases(self, options: Options) -> list:
        headers = _public_headers(options.source_dir)
        if options.smoke:
            headers = headers[:1]
        else:
            headers += [*_STANDARD, *(peer for peer in _PEERS if pathlib.Path("/usr/include", peer).exists())]
        self.cases = [Case(header) for header in headers]
        return [case for case in self.cases if not options.cases or any(part in case.name for part in options.cases)]

    def prepare(self, options: Options) -> None:
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-compile-"))

    def finish(self, options: Options) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def measure(self, contender: Contender, case: Case, options: Options) -> dict:
        empty_wall, empty_cpu = self._compile(contender, "", options)
        wall, cpu = self._compile(contender, f"#include <{case.name}>\n", options)
        return {"ns_per_op": (wall - empty_wall) * 1e9, "cpu_ns_per_op": (cpu - empty_cpu) * 1e9}

    def _compile(self, contender: Contender, text: str, options: Options) -> tuple:
        source = self._folder / "source.cpp"
        source.write_text(text)
        begin = time.monotonic()
        compiler = subprocess.Popen(
            [contender.program, "-std=c++20", "-O2", "-I", str(options.source_dir / "include"), "-c", str(source), "-o",
             str(self._folder / "source.o")], stderr=subprocess.PIPE)
        errors = compiler.stderr.read()
        _, status, usage = os.wait4(compiler.pid, 0)
        compiler.returncode = os.waitstatus_to_exitcode(status)
        compiler.stderr.close()
        if compiler.returncode != 0:
            raise RunFailed(errors.decode(errors="replace")[-500:])
        return time.monotonic() - begin, usage.ru_utime + usage.ru_stime
