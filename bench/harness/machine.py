"""Where and when figures were taken."""
import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess

from harness.workload import parse_figures

_VERSION = {
    "g++": ["g++", "-dumpfullversion"],
    "Go": ["go", "version"],
    "Boost": ["sh", "-c", "sed -n 's/^#define BOOST_LIB_VERSION \"\\(.*\\)\"/\\1/p' /usr/include/boost/version.hpp"],
    "TBB": ["pkg-config", "--modversion", "tbb"],
    "Abseil": ["pkg-config", "--modversion", "absl_synchronization"],
    "moodycamel": ["dpkg-query", "-W", "-f", "${Version}", "libconcurrentqueue-dev"],
    "libuv": ["pkg-config", "--modversion", "libuv"],
    "CPython": ["/usr/bin/python3", "--version"],
}


def _output(command: list) -> str:
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def kernel_prices(build_dir: pathlib.Path) -> str:
    """What a system call and a page fault cost here, by the program common/calibrate."""
    program = build_dir / "bench" / "common" / "calibrate"
    if not program.exists():
        return ""
    figures = parse_figures(_output([str(program)]))
    return f"a system call {figures['system_call_ns']:,.0f} ns, a page fault {figures['page_fault_ns']:,.0f} ns"


def describe(build_dir: pathlib.Path) -> str:
    """One sentence: processor, memory, kernel, its prices, versions, date."""
    versions = []
    for name, command in _VERSION.items():
        if found := re.search(r"\d+(?:[._]\d+)*", _output(command)):
            versions.append(f"{name} {found.group().replace('_', '.')}")
    return (f"{os.cpu_count()} cores of {_processor()}, {_memory_gib()} GiB, Linux {platform.release().split('-')[0]}, "
            f"{', '.join(filter(None, [kernel_prices(build_dir), *versions]))}; {datetime.date.today().isoformat()}")


def busy_warning() -> str:
    """A warning when other work would disturb the figures, or an empty string."""
    load = os.getloadavg()[0]
    return f"the machine is busy (load {load:.1f}): figures will be too high" if load > 0.5 else ""
