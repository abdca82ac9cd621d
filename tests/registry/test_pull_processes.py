"""Pulls that are killed, interrupted, or not alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from chrun.engine.images import remove_image
from chrun.store.partial import clear_partial
from chrun.store.refs import load_refs
from tests.support.docker_registry import docker_registry
from tests.support.images import digest_of, file, image, layer, official_busybox
from tests.support.needs import needs
from tests.support.pulls import assert_sound, chrun, pulled, scratch_of
from tests.support.waiting import wait_until

_KILLS = 36


@pytest.fixture
def several(registry):
    """An image of layers that take a moment to arrive, under several:latest."""
    noise = random.Random(7)
    trees = [
        {f"{number}/{name}": noise.randbytes(40_000) for name in range(8)} for number in range(4)
    ]
    made = image([layer(tree) for tree in trees], cmd=["/x"])
    registry.add(made, "several", "latest")
    registry.faults.slow_seconds = 0.03
    return made


def test_two_pulls_at_once_fetch_each_layer_once_and_the_other_says_that_it_waits(
    store, registry, several
):
    root, name = store.layout.root, f"{registry.host}/several"
    both = [chrun(root, "pull", name) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0] == f"{name}:latest@{several.digest}\n"
    assert "waiting for another chrun to fetch layer" in outputs[0][1] + outputs[1][1]
    for blob in several.blobs[1:]:
        path = f"/v2/several/blobs/{digest_of(blob)}"
        assert len([entry for entry in registry.log if entry == f"GET {path}"]) == 1
    assert_sound(store.layout)
    assert scratch_of(store.layout) == []


def test_who_waits_takes_over_when_the_other_is_killed(store, registry, several):
    root, name = store.layout.root, f"{registry.host}/several"
    registry.faults.slow_seconds = 0.5
    with ExitStack() as ended:
        first = ended.enter_context(chrun(root, "pull", "-q", name))
        ended.callback(first.kill)  # a no-op, but where the test fails
        wait_until(lambda: scratch_of(store.layout))
        second = ended.enter_context(chrun(root, "pull", name))
        ended.callback(second.kill)
        while "waiting for another chrun to fetch layer" not in (said := second.stderr.readline()):
            assert said, "it never waited"
        first.kill()
        registry.faults.slow_seconds = 0
        output, errors = second.communicate(timeout=60)
    assert second.returncode == 0, errors
    assert output == f"{name}:latest@{several.digest}\n"
    assert_sound(store.layout)


def test_killed_at_any_moment_a_pull_leaves_a_sound_store_and_goes_on(store, registry, several):
    root, name = store.layout.root, f"{registry.host}/several"
    moments = random.Random(2026)
    began = time.monotonic()
    chrun(root, "pull", "-q", name).communicate(timeout=60)
    whole = time.monotonic() - began
    _forget(store)
    for _ in range(_KILLS):
        process = chrun(root, "pull", "-q", name)
        time.sleep(moments.uniform(0, whole))
        process.kill()
        process.communicate()
        assert_sound(store.layout)
        if load_refs(store.layout)[1]:  # the name came last, so now all of it is here
            assert len(os.listdir(store.layout.layers_dir)) == 4
            _forget(store)
    record = pulled(store, name)
    assert all(len(os.listdir(f"{path}/{n}")) == 8 for n, path in enumerate(record.layers))
    clear_partial(store.layout, blobs=True)  # a document in the making is left to `chrun prune`
    assert scratch_of(store.layout) == []


def _forget(store):
    """Begin again with an empty store."""
    (ref,) = load_refs(store.layout)[1]
    remove_image(store, ref.name)
    assert os.listdir(store.layout.layers_dir) == []


def test_ctrl_c_ends_a_pull_at_once_and_keeps_what_arrived(store, registry, several):
    registry.faults.slow_seconds = 0.5
    process = chrun(store.layout.root, "pull", f"{registry.host}/several")
    while not _has_begun(store.layout):
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 3
    assert "Traceback" not in errors
    assert _has_begun(store.layout)
    assert load_refs(store.layout)[1] == ()


def _has_begun(layout):
    """Say whether the first bytes of a blob are on the disk."""
    paths = (f"{layout.partial_dir}/{name}" for name in os.listdir(layout.partial_dir))
    return any(os.path.isfile(path) and os.path.getsize(path) > 0 for path in paths)


_PEAK_KILOBYTES = 96 << 10  # design, section 8
_SIZE = 300 << 20


@needs("docker-registry")
def test_the_memory_of_a_pull_has_a_bound_that_no_layer_moves(store):
    noise = random.Random(1).randbytes(1 << 20)
    parts = {f"part{number}": file(noise) for number in range(_SIZE >> 20)}
    with docker_registry() as running:
        made = image([layer(parts, compression="")])
        made.push(running.url, "large", "latest")
        words = [sys.executable, "-c", _MEASURED, store.layout.root, f"{running.host}/large"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < _PEAK_KILOBYTES


# VmHWM and not ru_maxrss, which a process inherits from the one that started it
_MEASURED = """
import sys
from chrun.cli.main import main
root, name = sys.argv[1:]
sys.argv = ["chrun", "--root", root, "pull", "-q", name]
status = main()
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(peak.split()[1])
sys.exit(status)
"""


@needs("docker-registry", "images")
def test_an_official_image_comes_whole_from_a_real_registry(store):
    with docker_registry() as running:
        official = official_busybox()
        official.push(running.url, "library/busybox", "latest")
        record = pulled(store, f"{running.host}/library/busybox")
    assert record.manifest_digest == official.digest
    assert os.access(f"{record.layers[0]}/bin/busybox", os.X_OK)
    assert_sound(store.layout)
