"""The operator as it is shipped, which at SIGUSR1 counts what lives in it: `probed_operator.py FILE run …`.

The counts replace the file.
"""

import gc
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from esa_preload_operator.cli.main import main

_COUNTED: Final = {"Task": "tasks", "TimerHandle": "timers"}
"""Types of asyncio and uvloop, which tell their number to nobody else."""


def probe(file: Path) -> None:
    """Write how many objects of each counted type there are, without those that only wait for the collector."""
    gc.collect()
    found = Counter(type(each).__name__ for each in gc.get_objects())
    new = file.with_suffix(".new")
    new.write_text(json.dumps({name: found[kind] for kind, name in _COUNTED.items()}))
    new.replace(file)  # at once, for who waits for it


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: probe(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
