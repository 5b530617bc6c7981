"""concurrent.futures.ProcessPoolExecutor and multiprocessing.Pool. Arguments: --job submit|map|trip, --count, --workers, --pause, --repeat."""
import argparse
import concurrent.futures
import multiprocessing
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("--job", default="submit")
parser.add_argument("--count", type=int, default=5000)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--pause", type=float, default=0)
parser.add_argument("--repeat", type=int, default=3)
arguments, _ = parser.parse_known_args()


def following(i: int) -> int:
    return i + 1


def submits(pool) -> None:
    futures = [pool.submit(following, i) for i in range(arguments.count)]
    assert sum(future.result() for future in futures) == arguments.count * (arguments.count + 1) // 2


def timed(body) -> tuple:
    wall, cpu = time.perf_counter(), time.process_time()
    body()
    return (time.perf_counter() - wall) * 1e9, (time.process_time() - cpu) * 1e9


def trip(pool) -> tuple:
    if arguments.pause:
        time.sleep(arguments.pause / 1e6)
    return timed(lambda: pool.submit(following, 1).result())


def main() -> None:
    context = multiprocessing.get_context("fork")
    if arguments.job == "map":
        with context.Pool(arguments.workers) as pool:
            numbers = list(range(arguments.count))
            runs = [timed(lambda: pool.map(following, numbers)) for _ in range(arguments.repeat + 1)]
        per = arguments.count
    else:
        with concurrent.futures.ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
            if arguments.job == "submit":
                runs = [timed(lambda: submits(pool)) for _ in range(arguments.repeat + 1)]
                per = arguments.count
            else:
                runs = [trip(pool) for _ in range(arguments.count)]
                per = 1
    warm = runs[1:]
    print(f"ns_per_op={statistics.median(w for w, _ in warm) / per:.2f} cpu_ns_per_op={statistics.median(c for _, c in warm) / per:.2f} "
          f"cold_ns_per_op={runs[0][0] / per:.2f} operations={arguments.count}")


if __name__ == "__main__":
    main()
