"""P19: files sent over loopback into a directory, as weft, scp, rsync and nc do it."""
import filecmp
import getpass
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from harness.contender import Contender
from harness.server import Server, free_port
from harness.workload import Case, Column, Options, RunFailed, Workload

_BIG_BYTES = 4 << 30
_SMALL_FILES = 10_000
_SMALL_BYTES = 4096
_PATIENCE_SECONDS = 900
_WEFT = "apps/weft/weft"
# What `weft serve` and `weft send` are told.
_WEFT_ARGUMENTS = {
    "weft": ([], []),
    "weft, no fsync": (["--fsync", "none"], []),
    "weft, no fsync, no checksum": (["--fsync", "none"], ["--no-verify"]),
}


def _write_big(path: pathlib.Path, size: int) -> None:
    """Random throughout: a block stored twice or at the wrong place is found, and no layer below can merge equal blocks,
    which on some virtual machines doubles the time of a write."""
    block_bytes = 1 << 20
    with open(path, "wb") as out:
        for at in range(0, size, block_bytes):
            out.write(os.urandom(min(block_bytes, size - at)))


def _write_small(folder: pathlib.Path, count: int) -> None:
    folder.mkdir()
    data = os.urandom(_SMALL_BYTES * count)
    for i in range(count):
        (folder / f"file-{i:05}").write_bytes(data[i * _SMALL_BYTES:(i + 1) * _SMALL_BYTES])


def _verify(source: pathlib.Path, destination: pathlib.Path) -> None:
    """Every file under `source`, or `source` itself, must lie with the same bytes somewhere known under `destination`."""
    pairs = [(source, destination / source.name)]
    if source.is_dir():
        names = [path.name for path in source.iterdir()]
        base = destination / source.name
        pairs = [(source / name, base / name) for name in names]
    for ours, theirs in pairs:
        if not theirs.exists() or not filecmp.cmp(ours, theirs, shallow=False):
            raise RunFailed(f"{theirs} is missing or differs")


def _client(command: list) -> float:
    """Runs a client to its end; returns the CPU seconds of it and its children."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        raise RunFailed(f"{command[0]} ended with {process.returncode}: {errors.decode(errors='replace')[-300:]}")
    return usage.ru_utime + usage.ru_stime


class _PrivateSsh:
    """A throwaway sshd on a high loopback port: own host key, own user key, nothing outside one folder."""

    def __init__(self, folder: pathlib.Path):
        self.port = free_port()
        self.folder = folder
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n")
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # where sshd confines itself when started by root

    def serve(self) -> Server:
        return Server([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", str(self.folder / "sshd_config")],
                      self.port)

    def options(self) -> list:
        return ["-F", "none", "-q", "-P", str(self.port), "-i", str(self.folder / "user_key"),
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]


class WORKLOAD(Workload):
    key = "p19"
    title = "upload over loopback into a directory, verified afterwards, wall time"
    target = "faster than each of scp and rsync; the big file at 0.9 of nc without verification"
    rounds = 3
    targets = ("weft_program",)
    columns = [
        Column("ns_per_op", "wall", "s", 1e-9, 2),
        Column("cpu_ns_per_op", "CPU, both ends", "s", 1e-9, 2),
        Column("mib_per_second", "rate", "MiB/s", digits=0),
    ]
    cases = [Case("one big file", values={"source": "big"}), Case("many small files", values={"source": "small"})]
    contenders = [
        *(Contender(name, _WEFT, is_weft=True) for name in _WEFT_ARGUMENTS),
        Contender("scp", "scp", needs="openssh-client and openssh-server"),
        Contender("scp, AES-GCM", "scp", arguments=("-c", "aes128-gcm@openssh.com"),
                  needs="openssh-client and openssh-server"),
        Contender("rsync daemon", "rsync", needs="rsync"),
        Contender("rsync daemon, fsync", "rsync", arguments=("--fsync",), needs="rsync"),
        Contender("nc", "nc", needs="netcat-openbsd", against="weft, no fsync, no checksum"),
    ]

    def selected_cases(self, options: Options) -> list:
        # Both also under --smoke: they take different paths.
        return [case for case in self.cases if not options.cases or any(part in case.name for part in options.cases)]

    def prepare(self, options: Options) -> None:
        parent = options.directory or options.build_dir / "bench" / self.folder
        parent.mkdir(parents=True, exist_ok=True)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="files-", dir=parent))
        scale = 1 / 512 if options.smoke else options.scale
        self._big_bytes = max(1, int(_BIG_BYTES * scale))
        self._small_files = max(1, int(_SMALL_FILES * scale))
        free = shutil.disk_usage(self._folder).free
        if free < 3 * self._big_bytes:
            raise SystemExit(f"p19 needs {3 * self._big_bytes >> 20} MiB in {parent}: see --dir and --scale")
        _write_big(self._folder / "big", self._big_bytes)
        _write_small(self._folder / "small", self._small_files)
        keys = self._folder / "keys"
        keys.mkdir(mode=0o700)
        if shutil.which("scp") and (shutil.which("sshd") or os.path.exists("/usr/sbin/sshd")):
            self._ssh = _PrivateSsh(keys)

    def finish(self, options: Options) -> None:
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder, ignore_errors=True)

    def measure(self, contender: Contender, case: Case, options: Options) -> dict:
        source = self._folder / case.values["source"]
        destination = self._folder / "arrived"
        shutil.rmtree(destination, ignore_errors=True)
        destination.mkdir()
        os.sync()  # nobody pays for what another left unwritten
        send = {"apps": self._weft, "scp": self._scp, "rsync": self._rsync, "nc": self._nc}[contender.program.split("/")[0]]
        wall, cpu = send(contender, source, destination, options)
        _verify(source, destination)
        shutil.rmtree(destination, ignore_errors=True)
        size = self._big_bytes if source.name == "big" else self._small_files * _SMALL_BYTES
        return {"ns_per_op": wall * 1e9, "cpu_ns_per_op": cpu * 1e9, "mib_per_second": size / (1 << 20) / wall}

    @staticmethod
    def _timed(server: Server, command: list, settle: float = 0.0) -> tuple:
        """Runs the client against the server, then stops it; returns wall seconds and CPU seconds of both."""
        with server:
            begin = time.monotonic()
            cpu = _client(command)
            wall = time.monotonic() - begin
            time.sleep(settle)
        return wall, cpu + server.cpu_seconds

    def _weft(self, contender: Contender, source: pathlib.Path, destination: pathlib.Path, options: Options) -> tuple:
        program = str(options.build_dir / contender.program)
        port = free_port()
        of_serve, of_send = _WEFT_ARGUMENTS[contender.name]
        server = Server([program, "serve", str(destination), "--port", str(port), *of_serve], port)
        return self._timed(server, [program, "send", *of_send, str(source), f"127.0.0.1:{port}"])

    def _scp(self, contender: Contender, source: pathlib.Path, destination: pathlib.Path, _options: Options) -> tuple:
        if not hasattr(self, "_ssh"):
            raise RunFailed("sshd is not installed (openssh-server)")
        command = ["scp", "-r", *self._ssh.options(), *contender.arguments, str(source),
                   f"{getpass.getuser()}@127.0.0.1:{destination}"]
        # sshd has to collect its session before its time can be counted.
        return self._timed(self._ssh.serve(), command, settle=0.3)

    def _rsync(self, contender: Contender, source: pathlib.Path, destination: pathlib.Path, _options: Options) -> tuple:
        port = free_port()
        config = self._folder / "rsyncd.conf"
        owner = f"uid = {os.getuid()}\ngid = {os.getgid()}\n" if os.geteuid() == 0 else ""
        config.write_text(f"use chroot = no\n{owner}[files]\npath = {destination}\nread only = no\n")
        server = Server(["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1",
                         f"--port={port}"], port)
        command = ["rsync", "-r", *contender.arguments, str(source), f"rsync://127.0.0.1:{port}/files/"]
        return self._timed(server, command, settle=0.3)

    def _nc(self, _contender: Contender, source: pathlib.Path, destination: pathlib.Path, _options: Options) -> tuple:
        """The ceiling: no names, no checks. A folder goes through tar at both ends."""
        port = free_port()
        receive, send = f"nc -l 127.0.0.1 {port} > {destination}/big", f"nc -N 127.0.0.1 {port} < {source}"
        if source.is_dir():
            receive = f"nc -l 127.0.0.1 {port} | tar -x -f - -C {destination}"
            send = f"tar -c -f - -C {source.parent} {source.name} | nc -N 127.0.0.1 {port}"
        server = Server(["sh", "-c", receive], port)
        with server:
            begin = time.monotonic()
            cpu = _client(["sh", "-c", send])
            server.wait(_PATIENCE_SECONDS)
            return time.monotonic() - begin, cpu + server.cpu_seconds
