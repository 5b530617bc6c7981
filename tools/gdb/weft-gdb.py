"""Fibers in gdb:  source tools/gdb/weft-gdb.py

  weft fibers       every fiber that has begun to run: id, name, state, what it waits for
  weft stack ID     the stack of a parked fiber
  weft stacks       all of them

Works on a stopped process. On a core file, whose registers cannot be set, stacks are walked by frame pointers.
"""

import gdb

STATES = {0: "runnable", 1: "waits"}  # of a fiber that does not run (weft/detail/context.hpp)
WAITS = ["", "sleep", "Lock", "Event", "Condition", "Semaphore", "Queue", "join", "to read", "to write", "helper thread",
         "RLock", "RWLock", "Once", "select", "Future", "room", "Process", "work"]


def elements(vector):
    first, end = vector["_M_impl"]["_M_start"], vector["_M_impl"]["_M_finish"]
    while first != end:
        yield first.dereference()
        first += 1


def held(value):
    """What a std::atomic or std::unique_ptr holds: it stands at their beginning."""
    held_type = value.type.strip_typedefs().template_argument(0)
    if "unique_ptr" in str(value.type.strip_typedefs()):
        held_type = held_type.pointer()
    return value.address.cast(held_type.pointer()).dereference()


def pointee(unique):
    return held(unique).dereference()


def fibers():
    context = gdb.lookup_type("weft::detail::FiberContext")
    room = (context.sizeof + 63) // 64 * 64
    schedulers = gdb.parse_and_eval("weft::detail::all_schedulers")
    for number in range(64):
        if int(schedulers[number]) == 0:
            continue
        scheduler = schedulers[number].dereference()
        running = {int(held(pointee(worker)["running_"])) for worker in elements(scheduler["workers_"])}
        for pool in elements(scheduler["pools_"]):
            for slab in elements(pointee(pool)["slabs_"]):
                bytes_each = int(slab["stack_bytes"])
                for index in range(int(slab["cut"])):
                    address = int(slab["memory"]) + (index + 1) * bytes_each - room
                    fiber = gdb.Value(address).cast(context.pointer()).dereference()
                    if int(held(fiber["task"])) != 0:
                        yield fiber, address in running


def describe(fiber, running):
    name = fiber["name"].address.cast(gdb.lookup_type("char").pointer()).string() or "Fiber-%d" % int(fiber["id"])
    if running:
        return name, "running"
    word = int(held(fiber["waiter"]))
    state = STATES.get(word & 7, "?")
    wait = held(fiber["wait"])
    kind = int(wait["kind"]) if int(wait) != 0 else 0
    if word & 7 == 1 and 0 < kind < len(WAITS):
        wanted = int(wait["object"])
        state += " for " + WAITS[kind] if kind != 1 else ": sleep"
        if wanted:
            state += " %#x" % wanted
    return name, state


def saved_frame(fiber):
    """Instruction, stack and frame pointer where the fiber will go on: the layout is in src/port/context_switch_x86_64.cpp."""
    saved = int(fiber["saved"])

    def word(at):
        return int(gdb.Value(at).cast(gdb.lookup_type("unsigned long").pointer()).dereference())

    if gdb.selected_inferior().architecture().name().startswith("aarch64"):
        return word(saved + 88), saved + 176, word(saved + 80), {"pc": 88, "x29": 80}, word
    return word(saved + 56), saved + 64, word(saved + 48), {}, word


def show_by_registers(fiber):
    instruction, stack, frame, _, word = saved_frame(fiber)
    saved = int(fiber["saved"])
    values = {"rsp": stack, "rbp": frame, "rip": instruction}
    values.update({name: word(saved + offset) for name, offset in
                   (("r15", 8), ("r14", 16), ("r13", 24), ("r12", 32), ("rbx", 40))})
    before = {name: int(gdb.parse_and_eval("(unsigned long)$" + name)) for name in values}
    gdb.execute("select-frame 0", to_string=True)
    try:
        for name, value in values.items():
            gdb.execute("set $%s = %d" % (name, value), to_string=True)
        gdb.execute("backtrace")
    finally:
        gdb.execute("select-frame 0", to_string=True)
        for name, value in before.items():
            gdb.execute("set $%s = %d" % (name, value), to_string=True)


def show_by_frames(fiber):
    instruction, _, frame, _, word = saved_frame(fiber)
    for number in range(64):
        symbol = gdb.execute("info symbol %d" % instruction, to_string=True).strip()
        print("#%-2d %#018x  %s" % (number, instruction, symbol))
        if frame == 0:
            break
        try:
            instruction, frame = word(frame + 8), word(frame)
        except gdb.MemoryError:
            break
        if instruction == 0:
            break


def show_stack(fiber, running):
    name, state = describe(fiber, running)
    print("fiber %d \"%s\", %s" % (int(fiber["id"]), name, state))
    if running:
        print("  it is running: see the thread of its worker (info threads)")
        return
    try:
        show_by_registers(fiber)
    except gdb.error:
        show_by_frames(fiber)


class Weft(gdb.Command):
    """Looks at weft's fibers: weft fibers, weft stack ID, weft stacks."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK)

    def complete(self, text, word):
        return [verb for verb in ("fibers", "stack", "stacks") if verb.startswith(word)]

    def invoke(self, argument, from_tty):
        words = argument.split()
        if words == ["fibers"]:
            print("%-12s %-24s %s" % ("id", "name", "state"))
            for fiber, running in fibers():
                print("%-12d %-24s %s" % (int(fiber["id"]), *describe(fiber, running)))
        elif words == ["stacks"]:
            for fiber, running in fibers():
                show_stack(fiber, running)
        elif len(words) == 2 and words[0] == "stack" and words[1].isdigit():
            for fiber, running in fibers():
                if int(fiber["id"]) == int(words[1]):
                    show_stack(fiber, running)
                    return
            raise gdb.GdbError("no fiber %s has begun to run; see: weft fibers" % words[1])
        else:
            raise gdb.GdbError("usage: weft fibers | weft stack ID | weft stacks")


Weft()
