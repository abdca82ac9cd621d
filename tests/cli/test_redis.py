"""A real service in an image: the redis of this system, with the libraries it needs."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import images
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.registry import FakeRegistry

# Debian's package of the client has the server too, under the name of its other task, without
# the service that the server's own package would start.
PROGRAM = "redis-check-rdb"
pytestmark = needs(PROGRAM, "overlay")
_START_SECONDS = 20


def redis_image():
    """Make an image of the server and of what ldd(1) says it needs."""
    program = shutil.which(PROGRAM)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    tree = {path.lstrip("/"): images.file(Path(path).read_bytes(), 0o755) for path in libraries}
    server = images.file(Path(program).read_bytes(), 0o755)
    base = images.layer(tree)
    top = images.layer({"usr/bin/redis-server": server, "data": images.directory(0o777)})
    return images.image([base, top], entrypoint=["redis-server"], working_dir="/data")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def connect(running, port):
    """Give a connection as soon as the server takes one."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except ConnectionRefusedError:
            time.sleep(0.02)
    running.kill()
    raise AssertionError(running.communicate(timeout=5))


def ask(connection, *words):
    """Send a command to redis, and give the first bytes of its answer."""
    connection.sendall(" ".join(words).encode() + b"\r\n")
    return connection.recv(4096).decode()


@pytest.fixture
def fresh(tmp_path):
    """The command with a store of its own."""
    return Chrun(tmp_path / "data")


def test_redis_keeps_its_data_in_a_volume_and_ends_when_told(fresh, tmp_path):
    (tmp_path / "volume").mkdir()
    with FakeRegistry() as registry:
        registry.add(redis_image(), "redis", "7")
        name = f"{registry.host}/redis:7"
        fresh("pull", name)
    for answer in ("$-1\r\n", "$5\r\nhello\r\n"):
        port = free_port()
        command = ("run", "-q", "-v", f"{tmp_path}/volume:/data", name)
        options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "900 1")
        with fresh.start(*command, *options) as running:
            with connect(running, port) as connection:
                assert ask(connection, "PING") == "+PONG\r\n"
                assert ask(connection, "GET", "word") == answer
                assert ask(connection, "SET", "word", "hello") == "+OK\r\n"
            running.terminate()
            _, error = running.communicate(timeout=20)
        assert (running.returncode, error) == (0, "")
    assert (tmp_path / "volume" / "dump.rdb").is_file()
    assert fresh.leftovers() == []
