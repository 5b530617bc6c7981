"""The Python side of the tests of shared memory: does what standard input says, a command a line, and answers a line each.

memory NAME        attaches, answers the size and the first 8 bytes in hex, then writes b"from python" at the end
list NAME          attaches to a ShareableList, answers its items and formats
assign NAME I LITERAL
make-memory SIZE   creates one, whose last byte is 7, answers its name
make-list LITERAL  creates one, answers its name
unlink NAME        removes one of those that it made
"""
import ast
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import ShareableList, SharedMemory

made = {}
attached = []


def forget(memory) -> None:
    """Before Python 3.13, to attach also means to remove the name at the end, unless told not to."""
    if memory.name in made:  # known to the tracker once, however often it was told
        return
    resource_tracker.unregister(memory._name, "shared_memory")


def attach_memory(name):
    memory = SharedMemory(name)
    forget(memory)
    attached.append(memory)
    return memory


def attach_list(name):
    items = ShareableList(name=name)
    forget(items.shm)
    attached.append(items.shm)
    return items


def answer(command, words):
    if command == "memory":
        memory = attach_memory(words)
        memory.buf[memory.size - 11:] = b"from python"
        return f"{memory.size} {bytes(memory.buf[:8]).hex()}"
    if command == "list":
        items = attach_list(words)
        return f"{list(items)} {items.format}"
    if command == "assign":
        name, index, literal = words.split(" ", 2)
        items = attach_list(name)
        items[int(index)] = ast.literal_eval(literal)
        return repr(items[int(index)])
    if command == "make-memory":
        memory = SharedMemory(create=True, size=int(words))
        memory.buf[memory.size - 1] = 7
        made[memory.name] = memory
        return memory.name
    if command == "make-list":
        items = ShareableList(ast.literal_eval(words))
        made[items.shm.name] = items.shm
        return items.shm.name
    if command == "unlink":
        memory = made.pop(words)
        memory.close()
        memory.unlink()
        return "unlinked"
    return f"no such command: {command}"


for line in sys.stdin:
    command, _, words = line.rstrip("\n").partition(" ")
    try:
        print(answer(command, words), flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
for memory in attached:
    memory.close()
