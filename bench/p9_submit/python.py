"""concurrent.futures.ThreadPoolExecutor. Arguments: --count, --threads, --repeat."""
import argparse
import concurrent.futures
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int, default=300_000)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeat", type=int, default=3)
arguments = parser.parse_args()


def run(pool) -> tuple:
    wall, cpu = time.perf_counter(), time.process_time()
    futures = [pool.submit(lambda i=i: i + 1) for i in range(arguments.count)]
    total = sum(future.result() for future in futures)
    assert total == arguments.count * (arguments.count + 1) // 2
    return (time.perf_counter() - wall) * 1e9 / arguments.count, (time.process_time() - cpu) * 1e9 / arguments.count


with concurrent.futures.ThreadPoolExecutor(arguments.threads) as executor:
    cold = run(executor)
    warm = [run(executor) for _ in range(max(1, arguments.repeat))]
print(f"ns_per_op={statistics.median(w for w, _ in warm):.2f} cpu_ns_per_op={statistics.median(c for _, c in warm):.2f} "
      f"cold_ns_per_op={cold[0]:.2f} operations={arguments.count}")
