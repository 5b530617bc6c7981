"""P11: TCP echo, and what p12 shares with it."""
from harness.contender import Contender, cpp, go
from harness.server import Server, free_port
from harness.workload import Case, Column, Options, RunFailed, Workload, cores, run_program

_FOLDER = "p11_echo"
_PYTHON = "/usr/bin/python3"
_BENCH = __file__.rsplit("/", 2)[0]
_TWO_WORKERS = ("64 connections, 2 workers", "1,000 connections, 2 workers")


def servers() -> list:
    """weft's example and the peers' servers. Those that run on one core only skip the cases with two workers."""
    return [
        Contender("weft", "examples/echo_server", is_weft=True),
        cpp(_FOLDER, "epoll", "epoll by hand"),
        cpp(_FOLDER, "asio", "Asio", "libboost1.81-dev"),
        cpp(_FOLDER, "asio_stackful", "Asio, stackful", "libboost-context1.81-dev"),
        cpp(_FOLDER, "libuv", "libuv", "libuv1-dev", skips=_TWO_WORKERS),
        go(_FOLDER),
        Contender("gevent", _PYTHON, (f"{_BENCH}/p11_echo/gevent_server.py",), needs="python3-gevent",
                  python_module="gevent", skips=_TWO_WORKERS),
        Contender("Python threads", _PYTHON, (f"{_BENCH}/p11_echo/threads_server.py",), needs="python3",
                  # With 10,000 threads on one interpreter lock a request takes half a second of CPU time.
                  skips=(*_TWO_WORKERS, "10,000 connections")),
    ]


def start_server(contender: Contender, workers: int, options: Options) -> Server:
    """The server on the first core, or on all but the client's; with two workers the client's core is shared if the
    machine has no third."""
    usable = cores()
    own = [usable[0]] if workers == 1 else ([usable[0], *usable[2:]][:workers] if len(usable) > workers else usable)
    port = free_port()
    command = ["taskset", "-c", ",".join(map(str, own)), *contender.command(options.build_dir), str(port)]
    if contender.is_go:
        return Server(command, port, {"GOMAXPROCS": str(workers)})
    takes_workers = contender.is_weft or "bench/" in contender.program and contender.name != "libuv"
    return Server(command + (["--workers", str(workers)] if takes_workers else []), port)


def run_client(server: Server, options: Options, *arguments: str) -> dict:
    client = options.build_dir / "bench" / _FOLDER / "client"
    if not client.exists():
        raise RunFailed(f"not built: {client}")
    core = str(cores()[1 % len(cores())])
    return run_program(["taskset", "-c", core, str(client), "127.0.0.1", str(server.port), "--server", str(server.pid),
                        *arguments], timeout=180)


def _case(connections: int, workers: int = 1) -> Case:
    plural = "connection" if connections == 1 else "connections"
    name = f"{connections:,} {plural}" + (f", {workers} workers" if workers > 1 else "")
    return Case(name, values={"connections": connections, "workers": workers})


class WORKLOAD(Workload):
    key = "p11"
    title = "TCP echo of 64 bytes, server CPU time per request, client on another core"
    target = "at most 1.05 of epoll by hand, 1.10 at 10,000 connections; user part at most 0.3 us up to 1,000, 0.6 at 10,000"
    rounds = 9
    targets = ("example_echo_server",)
    columns = [
        Column("cpu_ns_per_op", "server CPU", "us", 1e-3, 2),
        Column("user_ns", "user", "us", 1e-3, 2),
        Column("system_ns", "system", "us", 1e-3, 2),
        Column("ns_per_op", "wall", "us", 1e-3, 2),
        Column("requests_per_second", "requests/s", "", digits=0),
        Column("p50_us", "median latency", "us", digits=0),
        Column("p99_us", "99th percentile", "us", digits=0),
    ]
    cases = [_case(64), _case(1), _case(1_000), _case(10_000), _case(64, 2), _case(1_000, 2)]
    contenders = servers()

    def measure(self, contender: Contender, case: Case, options: Options) -> dict:
        connections = case.values["connections"]
        seconds = 0.1 if options.smoke else options.seconds
        warmup = 0.05 if options.smoke else 1.5 if connections >= 10_000 else 0.5
        with start_server(contender, case.values["workers"], options) as server:
            return run_client(server, options, "--connections", str(connections), "--seconds", str(seconds),
                              "--warmup", str(warmup))
