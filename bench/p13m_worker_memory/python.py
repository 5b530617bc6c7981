"""multiprocessing.Pool: what an idle worker takes after one small task. Arguments: --by, --workers."""
import argparse
import multiprocessing
import os
import time


def tell_pid(_) -> int:
    time.sleep(0.05)  # so that each worker gets one
    return os.getpid()


def memory_of(pid: int) -> dict:
    kib = {}
    for name in ("smaps_rollup", "status"):
        with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
            for line in file:
                words = line.split()
                if len(words) == 3 and words[2] == "kB":
                    kib[words[0]] = int(words[1])
    return {"pss_bytes": kib["Pss:"], "private_bytes": kib["Private_Clean:"] + kib["Private_Dirty:"],
            "resident_bytes": kib["Rss:"], "page_table_bytes": kib["VmPTE:"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", default="fork")
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    with multiprocessing.get_context(arguments.by).Pool(arguments.workers) as pool:
        pids = set()
        while len(pids) < arguments.workers:
            pids.update(pool.map(tell_pid, range(arguments.workers), 1))
        each = [memory_of(pid) for pid in pids]
        print(" ".join(f"{name}={sum(one[name] for one in each) * 1024 / len(each):.0f}" for name in each[0]))


if __name__ == "__main__":
    main()
