"""P12: connections that rest, on the echo servers of p11."""
from harness.contender import Contender
from harness.workload import Case, Column, Options, Workload
from p11_echo.workload import run_client, servers, start_server


class WORKLOAD(Workload):
    key = "p12"
    title = "server memory per idle TCP connection, page tables counted, after one echo on each"
    target = "at most 5 KiB (5,120 bytes)"
    targets = ("example_echo_server", "bench_p11_echo")
    rounds = 3
    columns = [
        Column("bytes_per_connection", "memory", "bytes", digits=0),
        Column("resident_bytes", "resident", "bytes", digits=0),
        Column("page_table_bytes", "page tables", "bytes", digits=0),
    ]
    cases = [Case("10,000 idle connections", values={"connections": 10_000})]
    contenders = servers()

    def measure(self, contender: Contender, case: Case, options: Options) -> dict:
        connections = 500 if options.smoke else case.values["connections"]
        with start_server(contender, 1, options) as server:
            return run_client(server, options, "--idle", "--connections", str(connections))
