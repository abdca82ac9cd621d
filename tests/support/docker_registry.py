"""Debian's real `docker-registry`, on a free port of the loopback interface."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 20


class DockerRegistry(Value):
    """A running registry: its "127.0.0.1:port", its URL, its process and its files."""

    host: str
    pid: int
    data_dir: Path

    @property
    def url(self) -> str:
        """The base of its API."""
        return f"http://{self.host}"


def is_installed() -> bool:
    """Say whether there is a registry to start."""
    return shutil.which("docker-registry") is not None


@contextmanager
def docker_registry(*, htpasswd: str = "", mirror_of: str = "") -> Iterator[DockerRegistry]:
    """Run a registry as long as the block lasts.

    `htpasswd` is the text of a password file (bcrypt lines); with it, Basic authentication is
    needed. `mirror_of` is the URL of a registry that it is a pull-through cache of.
    """
    with TemporaryDirectory(prefix="docker-registry-") as scratch:
        directory, host = Path(scratch), f"127.0.0.1:{_free_port()}"
        (directory / "config.json").write_text(
            json.dumps(_configuration(directory, host, htpasswd, mirror_of))
        )
        command = ["docker-registry", "serve", str(directory / "config.json")]
        with (
            (directory / "log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as process,
        ):
            try:
                _wait_until_it_answers(process, host, directory / "log")
                yield DockerRegistry(host, process.pid, directory / "data")
            finally:
                process.kill()


def _configuration(directory: Path, host: str, htpasswd: str, mirror_of: str) -> dict[str, object]:
    fields: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "data")},
            "delete": {"enabled": True},
        },
        "http": {"addr": host},
    }
    if htpasswd:
        (directory / "htpasswd").write_text(htpasswd)
        fields["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    if mirror_of:
        fields["proxy"] = {"remoteurl": mirror_of}
    return fields


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(_host_and_port(host), timeout=1):
                return
        except ConnectionRefusedError:
            time.sleep(0.02)
    message = f"docker-registry does not answer on {host}:\n{log.read_text()}"
    raise RuntimeError(message)


def _host_and_port(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":")
    return name, int(port)
