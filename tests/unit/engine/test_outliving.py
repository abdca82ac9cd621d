"""Ending the processes below one, however many and however deep."""

from __future__ import annotations

import resource
import subprocess
import sys

from chrun.engine.outliving import _kill_descendants

DEPTH = 100
MOST_FILES = 64  # so that no descriptor stays open for each level
CHAIN = f"""
import os, signal
for _ in range({DEPTH}):
    if os.fork():
        signal.pause()
print("ready", flush=True)
signal.pause()
"""


def test_a_chain_of_processes_is_killed_with_few_descriptors():
    command = [sys.executable, "-I", "-S", "-c", CHAIN]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, before[1]))
            _kill_descendants(process.pid)
            process.kill()
            assert process.stdout.read() == ""  # its end: no process of the chain has it
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            process.kill()
