"""chrun: any container image, on any Linux machine, with nothing running.

    import chrun

    chrun.pull("redis:7")
    chrun.run("redis:7", ["redis-server", "--version"], capture_output=True, text=True).stdout

`chrun.run` has the shape of `subprocess.run`. Nothing is imported before it is used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.api import Image, images, pull, run
    from chrun.errors import ChrunError

__all__ = ["ChrunError", "Image", "images", "pull", "run"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'chrun' has no attribute {name!r}")
    module = "chrun.errors" if name == "ChrunError" else "chrun.api"
    public: object = getattr(__import__(module, fromlist=[name]), name)
    globals()[name] = public
    return public


def __dir__() -> list[str]:
    return sorted(__all__)
