"""Run targets, each in a process of its own, as many at once as there are processors.

    python -m tests.fuzz [--seconds SECONDS] [--seed SEED] [TARGET...]

Each target has SECONDS.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import SystemRandom

_NO_TARGETS = {"__init__", "__main__", "harness", "inputs"}
TARGETS = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in _NO_TARGETS
)
_MORE_SECONDS = 120  # for starting, and for making smaller what failed
_SEEDS = 1 << 32


def main() -> int:
    """Print how each target went; 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--alone", action="store_true", help="run the one target in this process")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS])
    given = parser.parse_args()
    targets = given.targets or TARGETS
    if given.alone:
        importlib.import_module(f"tests.fuzz.{targets[0]}").run(given.seconds, given.seed)
        return 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(lambda name: _play(name, given.seconds, given.seed), targets))
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


def _play(name: str, seconds: float, seed: int | None) -> bool:
    seed = SystemRandom().randrange(_SEEDS) if seed is None else seed
    words = ["--alone", "--seconds", str(seconds), "--seed", str(seed), name]
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + _MORE_SECONDS,
        )
        said, passed = done.stdout, done.returncode == 0
    except subprocess.TimeoutExpired as error:
        said, passed = f"{error}\n{error.stdout or ''}", False
    how = "passed" if passed else "FAILED"
    print(f"fuzz {name}: {how} after {time.monotonic() - began:.0f} s, --seed {seed}", flush=True)
    if not passed:
        print(said, flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
