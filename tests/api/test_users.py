"""chrun.run(userns=...): whose ids a container's are, from a program that has threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import chrun
from chrun.errors import ChrunError, UsageError
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


def first_id(root, box, **options):
    command = ["sh", "-c", "cat /proc/self/uid_map; sleep 0.3"]
    done = chrun.run(box, command, root=root, capture_output=True, text=True, **options)
    return int(done.stdout.split()[1])


@needs("root")
def test_ranges_of_threads_that_run_at_once_are_different(root, box):
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(first_id, root, box, userns="auto") for _ in range(4)]
        firsts = [job.result() for job in jobs]
    assert len(set(firsts)) == 4


@needs("ordinary user")
def test_one_id_can_be_asked_for(root, box):
    assert first_id(root, box, userns="single") == os.getuid()


@needs("subordinate ids")
def test_subordinate_ids_work_from_threads_too(root, box):
    def file_of_another():
        command = ["sh", "-c", "touch /f; chown 33:44 /f; stat -c %u:%g /f"]
        return chrun.run(box, command, root=root, capture_output=True, text=True).stdout

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(file_of_another) for _ in range(4)]
        assert {job.result() for job in jobs} == {"33:44\n"}


def test_a_typing_mistake_is_an_error(root, box):
    with pytest.raises(UsageError, match="userns 'hosts'"):
        chrun.run(box, ["true"], root=root, userns="hosts")


def test_what_this_user_cannot_is_an_error(root, box):
    mode = "single" if os.geteuid() == 0 else "host"
    with pytest.raises(ChrunError, match=f"cannot use --userns {mode}"):
        chrun.run(box, ["true"], root=root, userns=mode)
