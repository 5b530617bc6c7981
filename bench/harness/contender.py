"""A contender is one program of a workload: weft's or a peer's."""
import dataclasses
import pathlib
import shutil
import subprocess


@dataclasses.dataclass(frozen=True)
class Contender:
    """How to start one program, and why it may be absent."""

    name: str
    program: str  # below the build directory, or a command to look up in PATH
    arguments: tuple = ()
    environment: tuple = ()  # of (name, value)
    is_weft: bool = False
    is_go: bool = False
    needs: str = ""  # what to install when the program is missing
    python_module: str = ""  # imported by the system's Python to see whether the peer is installed
    against: str = ""  # which of weft's programs the ratio is taken of, if not the first
    skips: tuple = ()  # names of cases this contender cannot take part in

    def command(self, build_dir: pathlib.Path) -> list:
        path = build_dir / self.program
        return [str(path) if path.exists() else self.program, *self.arguments]

    def missing(self, build_dir: pathlib.Path) -> str:
        """Why the contender cannot run here, or an empty string."""
        if not (build_dir / self.program).exists() and not shutil.which(self.program):
            return f"not installed ({self.needs})" if self.needs else f"not built: {self.program}"
        if self.python_module:
            probe = [self.program, "-c", f"import {self.python_module}"]
            if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
                return f"not installed ({self.needs})"
        return ""


def weft(folder: str, name: str = "weft", program: str = "weft", arguments=()) -> Contender:
    return Contender(name, f"bench/{folder}/{program}", arguments=tuple(arguments), is_weft=True)


def cpp(folder: str, program: str, name: str, needs: str = "", arguments=(), skips=()) -> Contender:
    return Contender(name, f"bench/{folder}/{program}", arguments=tuple(arguments), needs=needs, skips=tuple(skips))


def go(folder: str, name: str = "Go", arguments=()) -> Contender:
    return Contender(name, f"bench/{folder}/go", arguments=tuple(arguments), is_go=True, needs="golang-go")
