"""multiprocessing.Pipe with send_bytes and recv_bytes. Arguments: --count, --repeat."""
import argparse
import multiprocessing
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int, default=50_000)
parser.add_argument("--repeat", type=int, default=3)
arguments = parser.parse_args()


def echo(here, there):
    here.close()
    try:
        while True:
            there.send_bytes(there.recv_bytes())
    except EOFError:
        pass


def run(here) -> tuple:
    message = b"m" * 64
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(arguments.count):
        here.send_bytes(message)
        here.recv_bytes()
    return (time.perf_counter() - wall) * 1e9 / arguments.count, (time.process_time() - cpu) * 1e9 / arguments.count


here, there = multiprocessing.Pipe()
child = multiprocessing.get_context("fork").Process(target=echo, args=(here, there))
child.start()
there.close()
cold = run(here)
warm = [run(here) for _ in range(max(1, arguments.repeat))]
here.close()
child.join()
print(f"ns_per_op={statistics.median(w for w, _ in warm):.2f} cpu_ns_per_op={statistics.median(c for _, c in warm):.2f} "
      f"cold_ns_per_op={cold[0]:.2f} operations={arguments.count}")
