"""The demo: finds the images, then plays the story as whoever runs it, and as root also as a user.

The images come from Docker Hub. Where that cannot be reached they are made here, of the
distribution's own packages, and served on loopback by a real registry.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from demo import images
from demo.story import title
from tests.support.docker_registry import docker_registry

_CHECKOUT = Path(__file__).resolve().parents[1]
_HUB = "https://registry-1.docker.io/v2/"
_HUB_SECONDS = 5


def main() -> None:
    """Play the demo."""
    if _hub_answers():
        title("the images are the official ones of Docker Hub")
        _tell("redis", "hello-world")
        return
    title("Docker Hub cannot be reached")
    print("The images are made here, redis of this distribution's own packages, and pulled from")
    print("a docker-registry on loopback.")
    redis = images.redis(_CHECKOUT / "build" / "demo" / "packages")
    hello_world = images.hello_world()
    with docker_registry() as registry:
        redis.push(registry.url, "redis", "latest")
        hello_world.push(registry.url, "hello-world", "latest")
        _tell(f"{registry.host}/redis", f"{registry.host}/hello-world")


def _tell(redis: str, hello_world: str) -> None:
    story = ["-m", "demo.story", redis, hello_world]
    subprocess.run([sys.executable, *story], check=True)
    if os.geteuid() == 0:
        subprocess.run(["tools/as-user", "python", *story], check=True)
    title("that was the whole story")


def _hub_answers() -> bool:
    try:
        urllib.request.urlopen(_HUB, timeout=_HUB_SECONDS).close()
    except urllib.error.HTTPError as error:
        return error.code == 401  # wants a token, as it always does
    except OSError:
        return False
    return True


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"demo: {error.cmd[0]} failed") from None
