"""Builds what the chosen workloads need: C++ by CMake, Go by its own tool."""
import os
import pathlib
import shutil
import subprocess


def _run(command: list, **keywords) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **keywords)
    if done.returncode != 0:
        raise SystemExit(f"bench/compare: {' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def _known_targets(build_dir: pathlib.Path) -> set:
    _run(["ninja", "-C", build_dir, "build.ninja"])  # configures anew where CMake files have changed
    done = subprocess.run(["ninja", "-C", str(build_dir), "-t", "targets", "all"], capture_output=True, text=True,
                          check=True)
    return {line.split(":")[0] for line in done.stdout.splitlines()}


def _build(source_dir: pathlib.Path, build_dir: pathlib.Path, targets: list) -> None:
    """By tools/build where it applies: it lets only one build of a tree run at a time."""
    if build_dir == source_dir / "build" / "release" and (source_dir / "tools" / "build").exists():
        _run([source_dir / "tools" / "build", "release", *targets])
    else:
        _run(["cmake", "--build", build_dir, "--target", *targets])


def build_cpp(source_dir: pathlib.Path, build_dir: pathlib.Path, workloads: list) -> None:
    if not (build_dir / "build.ninja").exists():
        _run(["cmake", "--preset", "release", "-S", source_dir, "-B", build_dir])
    known = _known_targets(build_dir)
    if "weft_bench" not in known:
        _run(["cmake", "-DWEFT_BUILD_BENCH=ON", build_dir])
        known = _known_targets(build_dir)
    wanted = ["bench_common"] + [target for workload in workloads for target in (f"bench_{workload.folder}", *workload.targets)]
    chosen = [target for target in dict.fromkeys(wanted) if target in known]
    if chosen:
        _build(source_dir, build_dir, chosen)


def build_go(source_dir: pathlib.Path, build_dir: pathlib.Path, workloads: list) -> None:
    if not shutil.which("go"):
        return
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GO111MODULE": "on"}
    for workload in workloads:
        if (source_dir / "bench" / workload.folder / "go").is_dir():
            _run(["go", "build", "-o", build_dir / "bench" / workload.folder / "go", f"./{workload.folder}/go"],
                 cwd=source_dir / "bench", env=environment)
