"""A bytearray to a multiprocessing worker and back. Arguments: --by value (pickled, through a Pipe) or memory (SharedMemory, attached
by its name), --size, --repeat."""
import argparse
import multiprocessing
import statistics
import time
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

parser = argparse.ArgumentParser()
parser.add_argument("--by", default="value")
parser.add_argument("--size", type=int, default=256 << 20)
parser.add_argument("--repeat", type=int, default=3)
arguments = parser.parse_args()


def answer_by_value(connection) -> None:
    while (value := connection.recv()) is not None:
        value[-1] = value[0] + 1
        connection.send(value)


def answer_by_memory(connection) -> None:
    while (name := connection.recv()) is not None:
        memory = SharedMemory(name)
        memory.buf[memory.size - 1] = memory.buf[0] + 1
        memory.close()
        connection.send(name)


def trip_by_value(connection, value, number) -> None:
    value[0] = number
    connection.send(value)
    back = connection.recv()
    assert back[0] == number and back[-1] == number + 1


def trip_by_memory(connection, memory, number) -> None:
    memory.buf[0] = number
    connection.send(memory.name)
    back = SharedMemory(connection.recv())
    assert back.buf[0] == number and back.buf[back.size - 1] == number + 1
    back.close()


def measure(trip, value) -> None:
    wall, cpu = [], []
    for number in range(max(1, arguments.repeat) + 1):
        began, began_cpu = time.perf_counter(), time.process_time()
        trip(here, value, number % 200)
        wall.append((time.perf_counter() - began) * 1e9)
        cpu.append((time.process_time() - began_cpu) * 1e9)
    print(f"ns_per_op={statistics.median(wall[1:]):.2f} cpu_ns_per_op={statistics.median(cpu[1:]):.2f} "
          f"cold_ns_per_op={wall[0]:.2f} operations=1")


if __name__ == "__main__":
    by_value = arguments.by == "value"
    resource_tracker.ensure_running()  # before the fork: one for both
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.get_context("fork").Process(target=answer_by_value if by_value else answer_by_memory, args=(there,))
    worker.start()
    if by_value:
        measure(trip_by_value, bytearray(arguments.size))
    else:
        shared = SharedMemory(create=True, size=arguments.size)
        measure(trip_by_memory, shared)
        shared.close()
        shared.unlink()
    here.send(None)
    worker.join()
