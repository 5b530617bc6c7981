"""multiprocessing.Process. Arguments: --count, --by, --repeat."""
import argparse
import multiprocessing
import statistics
import time


def nothing() -> None:
    pass


def run(context, count: int) -> tuple:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        process = context.Process(target=nothing)
        process.start()
        process.join()
    return (time.perf_counter() - wall) * 1e9 / count, (time.process_time() - cpu) * 1e9 / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--by", default="fork")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    context = multiprocessing.get_context(arguments.by)
    cold = run(context, 1)
    warm = [run(context, arguments.count) for _ in range(max(1, arguments.repeat))]
    print(f"ns_per_op={statistics.median(w for w, _ in warm):.2f} cpu_ns_per_op={statistics.median(c for _, c in warm):.2f} "
          f"cold_ns_per_op={cold[0]:.2f} operations={arguments.count}")


if __name__ == "__main__":
    main()
