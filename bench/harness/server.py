"""Starts and stops a server under measurement."""
import contextlib
import os
import signal
import socket
import subprocess
import time

from harness.workload import RunFailed


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, below the range that connections are made from."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RunFailed("no free port")


def wait_until_listening(port: int, process: subprocess.Popen, seconds: float = 20) -> None:
    """Looks into the kernel's table rather than connecting: some servers serve one connection only."""
    wanted = f":{port:04X}"
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            with contextlib.suppress(OSError), open(table, encoding="ascii") as lines:
                for line in lines:
                    fields = line.split()
                    if fields[1].endswith(wanted) and fields[3] == "0A":
                        return
        if process.poll() is not None:
            raise RunFailed(f"the server ended with {process.returncode} before it listened")
        time.sleep(0.01)
    raise RunFailed("the server does not listen")


class Server:
    """A running server; after stop(), `cpu_seconds` is what it and its children used."""

    def __init__(self, command: list, port: int, environment: dict | None = None, **keywords):
        self.port = port
        self.cpu_seconds = 0.0
        keywords.setdefault("stdout", subprocess.DEVNULL)
        keywords.setdefault("stderr", subprocess.DEVNULL)
        try:
            self.process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, **keywords)
        except OSError as error:
            raise RunFailed(str(error)) from error
        try:
            wait_until_listening(port, self.process)
        except RunFailed:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait(self, seconds: float) -> None:
        """Waits for a server that ends by itself."""
        give_up = time.monotonic() + seconds
        while not self._reap():
            if time.monotonic() > give_up:
                raise RunFailed("the server does not end")
            time.sleep(0.001)

    def stop(self) -> None:
        for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if self.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)
                with contextlib.suppress(RunFailed):
                    self.wait(patience)

    def _reap(self) -> bool:
        if self.process.returncode is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid == 0:
                return False
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
