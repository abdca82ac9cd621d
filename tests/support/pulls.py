"""Pulling in tests: by function, by command, and a look at what a pull left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chrun.engine.progress import Silent
from chrun.engine.pull import pull
from chrun.oci.platform import Platform
from chrun.oci.reference import Reference
from chrun.registry.client import Registry
from chrun.registry.credentials import CredentialStore
from chrun.registry.patience import Patience
from chrun.store.lookup import load_readable
from tests.support.images import digest_of

if TYPE_CHECKING:
    from chrun.engine.progress import Progress
    from chrun.store.layout import Layout
    from chrun.store.records import ImageRecord
    from chrun.store.store import Store

AMD64 = Platform("linux", "amd64")

_MAIN = "import sys; from chrun.cli.main import main; sys.exit(main())"


def pulled(
    store: Store,
    name: str,
    platform: Platform = AMD64,
    progress: Progress | None = None,
    **patience: float,
) -> ImageRecord:
    """Pull without anybody's credentials and without long waits; `patience` has other ones."""
    patient = Patience(pause_seconds=0.01, attempts=2).replace(**patience)
    registry = Registry(credentials=CredentialStore({}), patience=patient)
    return pull(store, registry, Reference.parse(name), platform, progress or Silent())


def command_line(root: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """Give a command of chrun's on a data directory, and its environment."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DOCKER_CONFIG": "/nowhere"}
    return [sys.executable, "-c", _MAIN, "--root", root, *words], env


def chrun(root: str, *words: str) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, with its output in pipes."""
    command, env = command_line(root, *words)
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def assert_sound(layout: Layout) -> None:
    """Check that every name in the store has behind it what it says."""
    json.loads(Path(layout.index_path).read_bytes())
    for name in os.listdir(f"{layout.blobs_dir}/sha256"):
        with open(f"{layout.blobs_dir}/sha256/{name}", "rb") as file:
            assert digest_of(file.read()).hex == name
    records, broken = load_readable(layout)
    assert broken == {}
    for record in records:
        assert all(map(os.path.isdir, record.layers))


def scratch_of(layout: Layout) -> list[str]:
    """Give what lies about that has no name, which is nothing when nobody works."""
    return [*os.listdir(layout.partial_dir), *os.listdir(layout.trash_dir)]
