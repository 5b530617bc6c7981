"""multiprocessing.Queue or SimpleQueue. Arguments: --kind, --count, --producers, --consumers, --repeat."""
import argparse
import multiprocessing
import resource
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("--kind", default="Queue", choices=["Queue", "SimpleQueue"])
parser.add_argument("--count", type=int, default=300_000)
parser.add_argument("--producers", type=int, default=1)
parser.add_argument("--consumers", type=int, default=1)
parser.add_argument("--repeat", type=int, default=3)
arguments = parser.parse_args()
context = multiprocessing.get_context("fork")


def produce(queue, first):
    for number in range(first, arguments.count, arguments.producers):
        queue.put(number)


def consume(queue, sums):
    total = 0
    while (number := queue.get()) is not None:
        total += number
    sums.put(total)


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run() -> tuple:
    queue, sums = getattr(context, arguments.kind)(), context.SimpleQueue()
    wall, cpu = time.perf_counter(), children_cpu()
    takers = [context.Process(target=consume, args=(queue, sums)) for _ in range(arguments.consumers)]
    makers = [context.Process(target=produce, args=(queue, first)) for first in range(arguments.producers)]
    for process in takers + makers:
        process.start()
    for process in makers:
        process.join()
    for _ in takers:
        queue.put(None)
    total = sum(sums.get() for _ in takers)
    for process in takers:
        process.join()
    assert total == arguments.count * (arguments.count - 1) // 2
    return (time.perf_counter() - wall) * 1e9 / arguments.count, (children_cpu() - cpu) * 1e9 / arguments.count


cold = run()
warm = [run() for _ in range(max(1, arguments.repeat))]
print(f"ns_per_op={statistics.median(w for w, _ in warm):.2f} cpu_ns_per_op={statistics.median(c for _, c in warm):.2f} "
      f"cold_ns_per_op={cold[0]:.2f} operations={arguments.count}")
