"""What Linux tells about a process."""

import contextlib
import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used, in user and kernel mode (proc(5), /proc/pid/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB (proc(5), VmRSS)."""
    return _status(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """Return the largest resident memory that a process has had so far in MiB (proc(5), VmHWM)."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def open_sockets(pid: int) -> int:
    """Return how many sockets a process has open (proc(5), /proc/pid/fd)."""
    found = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += str(each.readlink()).startswith("socket:")
    return found


def machine() -> tuple[float, float]:
    """Return the CPU seconds that all processors together were busy, and idle (proc(5), /proc/stat)."""
    values = [int(field) / _TICKS for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = values[3] + values[4]
    return sum(values) - idle, idle
