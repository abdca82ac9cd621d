"""The story of the README, played for real: python -m demo.story REDIS HELLO-WORLD.

Every command is printed before it runs, and what it must show is checked: a demo that only looks
right would be worse than none. The store is one of its own and is gone afterwards.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 20


class Stage:
    """Where commands are played: `store_dir` is chrun's data directory."""

    def __init__(self, store_dir: Path) -> None:
        self.store_dir = store_dir
        self.environment = os.environ | {"CHRUN_HOME": str(store_dir)}

    def play(self, *words: str, status: int = 0, shows: str = "") -> str:
        """Run one command to its end, show it, and insist on its exit status and its text."""
        print(f"\n$ {shlex.join(words)}", flush=True)
        played = subprocess.run(
            words,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        print(played.stdout, end="", flush=True)
        if status:
            print(f"(exit status {played.returncode})")
        if played.returncode != status:
            fail(f"exit status {played.returncode}, expected {status}")
        if shows not in played.stdout:
            fail(f"it does not show {shows!r}")
        return played.stdout

    def why_not(self, *words: str) -> str:
        """Try a command, and give what it says when it fails."""
        tried = subprocess.run(
            words, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return tried.stderr if tried.returncode else ""

    @contextmanager
    def background(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run one command as long as the block lasts."""
        print(f"\n$ {shlex.join(words)} &", flush=True)
        with (
            (self.store_dir.parent / "log").open("w+") as log,
            subprocess.Popen(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            ) as process,
        ):
            try:
                yield process
            except BaseException:
                log.seek(0)
                print(log.read())
                raise
            finally:
                process.kill()

    def remains(self) -> list[str]:
        """Give what containers left behind: their directories, and mounts in any process's view."""
        directories = [str(path) for path in (self.store_dir / "containers").iterdir()]
        mounts = {line for line in _all_mounts() if str(self.store_dir) in line}
        return directories + sorted(mounts)


def main() -> None:
    """Play the story with the two images that the command line names."""
    redis, hello_world = sys.argv[1:]
    name = "root" if os.geteuid() == 0 else f"an ordinary user (uid {os.geteuid()})"
    with TemporaryDirectory(prefix="chrun-demo-") as scratch:
        stage = Stage(Path(scratch, "data"))
        title(f"chrun as {name}")
        tell_redis(stage, redis)
        tell_hello_world(stage, hello_world)
        tell_own_files(stage, redis)
        tell_sealed(stage, redis)
        tell_what_is_left(stage)


def tell_redis(stage: Stage, image: str) -> None:
    """Serve in one container, ask from another: the network is the host's."""
    port = str(_free_port(wanted=7777))
    stage.play("chrun", "pull", image)
    with stage.background("chrun", "run", image, "redis-server", "--port", port) as server:
        _wait_for(int(port), server)
        stage.play("chrun", "run", image, "redis-cli", "-p", port, "SET", "k", "v", shows="OK")
        stage.play("chrun", "run", image, "redis-cli", "-p", port, "GET", "k", shows="v")
        stage.play("chrun", "run", image, "redis-cli", "-p", port, "SHUTDOWN", "NOSAVE")
        if server.wait(_START_SECONDS) != 0:
            fail(f"the server ended with {server.returncode}")
        print("(the server has ended, and with it its container)")


def tell_hello_world(stage: Stage, image: str) -> None:
    """An image of one program, and what it says about the shell that it has not."""
    stage.play("chrun", "run", image, shows="Hello from Docker!")
    stage.play("chrun", "run", image, "/bin/sh", status=127, shows="/bin/sh")


def tell_own_files(stage: Stage, image: str) -> None:
    """Containers of one image at once: none sees what another one writes."""
    title("three containers of one image at once: each writes /mine, then lists it")
    script = 'echo "$0" > /mine-$0; sleep 1; ls -d /mine-*'
    words = [("chrun", "run", "-q", image, "sh", "-c", script, n) for n in "123"]
    print(f"\n$ {shlex.join(words[0])} & ...", flush=True)
    running = [
        subprocess.Popen(command, env=stage.environment, stdout=subprocess.PIPE, text=True)
        for command in words
    ]
    seen = [process.communicate()[0] for process in running]
    print("".join(seen), end="")
    if seen != [f"/mine-{number}\n" for number in "123"]:
        fail("each should have seen its own file, and only that")


def tell_sealed(stage: Stage, image: str) -> None:
    """Shut in what nobody has read, and show what the kernel says about it."""
    title("code that nobody has read")
    if lack := stage.why_not("chrun", "run", "-q", "--isolation", "sealed", image, "true"):
        print(f"This machine cannot seal a container, and chrun does not pretend to:\n{lack}")
        return
    receipt_path = stage.store_dir.parent / "receipt.json"
    sealed = ("chrun", "run", "--isolation", "sealed")
    look = "touch /mine; cat /proc/net/dev; id"
    stage.play(
        *sealed, "--receipt", str(receipt_path), "--require", "net=none,caps=none,readonly",
        image, "sh", "-c", look, shows="Read-only file system",
    )  # fmt: skip
    receipt = json.loads(receipt_path.read_text())
    print(f"\nThe receipt, read back from the kernel: {receipt_path.stat().st_size} bytes. In it:")
    print(f"  effective capabilities: {receipt['security']['capabilities']['effective'] or 'none'}")
    print(f"  system call filters:    {receipt['security']['seccomp']['filters']}")
    print(f"  network interfaces:     {', '.join(receipt['network']['interfaces'])}")
    print(f"  limits in cgroups:      {receipt['limits']['own']}")
    print(f"  rung that this shows:   {receipt['shown_rung']}")
    stage.play(
        *sealed, "--require", "memory<=512m", image, "redis-server",
        status=125, shows="memory<=512m is not met",
    )  # fmt: skip


def tell_what_is_left(stage: Stage) -> None:
    """Nothing but the images."""
    title("what is left")
    stage.play("chrun", "images")
    if remains := stage.remains():
        fail(f"containers left something behind: {remains}")
    print("\nNo container directory and no mount is left.")


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n--- {text} ---", flush=True)


def fail(what: str) -> None:
    """End the demo, which did not show what it must."""
    raise SystemExit(f"demo: {what}")


def _all_mounts() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield from (process / "mountinfo").read_text().splitlines()
        except OSError:
            continue  # it has ended, or is not ours to look at


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as listener:
                return int(listener.getsockname()[1])
        except OSError:
            print(f"(port {port} is taken here; the demo takes another)")
    raise SystemExit("demo: no free port on 127.0.0.1")


def _wait_for(port: int, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    fail("redis-server does not answer")


if __name__ == "__main__":
    main()
