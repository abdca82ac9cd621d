"""`make bench`: chrun beside what one would use instead, against the design's budgets.

    python -m benchmarks [--quick] [--json FILE] [SECTION...]

Needs root, because the rivals and the second user do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import api, disk, memory, pulling, start
from benchmarks.field import describe_machine, open_field
from benchmarks.report import print_budgets, print_section, write_json

_SECTIONS = {
    "command-line": start.measure_command_line,
    "ready-plan": start.measure_ready_plan,
    "api": api.measure_api,
    "idle": memory.measure_idle,
    "disk": disk.measure_second_container,
    "pull": pulling.measure_pull,
}
_JSON = Path("build/benchmarks.json")
_ALONE = "CHRUN_BENCH_ALONE"


def main() -> None:
    """Measure the sections asked for, print them, and write the JSON document."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(_SECTIONS))
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work at all")
    parser.add_argument("--json", type=Path, default=_JSON)
    options = parser.parse_args()
    if unknown := set(options.sections) - set(_SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        parser.error("needs root, because the rivals and the second user do")
    _leave_hybrid_cgroups()
    machine = describe_machine()
    print("\n".join(f"{name}: {text}" for name, text in machine.items()))
    measured = []
    with open_field() as field:
        for name in options.sections or _SECTIONS:
            measured.append(_SECTIONS[name](field, quick=options.quick))
            print_section(measured[-1])
            sys.stdout.flush()
    print_budgets(measured)
    write_json(options.json, machine, measured)


def _leave_hybrid_cgroups() -> None:
    """Take cgroup v2 out of sight where v1 is there too, in a mount namespace of our own.

    crun refuses to run on such a machine; what the others do does not change.
    """
    mounts = [line.split(" ") for line in Path("/proc/mounts").read_text().splitlines()]
    kinds = {kind for _, _, kind, *_ in mounts}
    if _ALONE in os.environ or not {"cgroup", "cgroup2"} <= kinds:
        return
    unified = [target for _, target, kind, *_ in mounts if kind == "cgroup2"]
    script = f'umount {" ".join(unified)} && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-m", "benchmarks"]
    alone = os.environ | {_ALONE: "1"}
    raise SystemExit(subprocess.run([*command, *sys.argv[1:]], env=alone).returncode)


if __name__ == "__main__":
    main()
