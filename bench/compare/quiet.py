# SPDX-License-Identifier: Apache-2.0
"""Was the machine ours while something ran? Linux only.

Timings with two threads on two cores are worthless while another process takes one of them, so
what ran beside others is dropped and done again.
"""
import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count()
LIMIT = 0.05  # of all cores, taken by others


def machine_seconds():
    """Processor time that the whole machine has spent working."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(
            int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def own_seconds(pids=()):
    """Processor time of this process, of those of its children that have ended, and of others."""
    own = sum(usage.ru_utime + usage.ru_stime
              for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            user, system = stat.read().rpartition(")")[2].split()[11:13]
        own += (int(user) + int(system)) / TICK
    return own


class Watch:
    """with Watch() as watch: ...; then watch.others is the share of the machine others took.

    pids: processes that belong to us, too, although they are still running.
    """

    def __init__(self, pids=()):
        self.pids = pids

    def __enter__(self):
        self.start = time.monotonic(), machine_seconds(), own_seconds(self.pids)
        return self

    def __exit__(self, *error):
        wall, machine, own = (end - start for end, start in zip(
            (time.monotonic(), machine_seconds(), own_seconds(self.pids)), self.start))
        tick = 1 / TICK / max(wall, 1e-9)  # /proc/stat counts in ticks
        self.others = max(0.0, (machine - own) / (wall * CORES) - tick)
        self.quiet = self.others <= LIMIT


def wait(seconds):
    """Wait until the machine is idle, at most this long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with Watch() as watch:
            time.sleep(0.2)
        if watch.quiet:
            return True
    return False


def settle(pids=(), seconds=0.5):
    """Wait until our own threads have gone to sleep: pools spin for a while after their work, and
    would take a processor from whoever works next."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start, own = time.monotonic(), own_seconds(pids)
        time.sleep(0.02)
        if own_seconds(pids) - own < 0.1 * (time.monotonic() - start):
            return
