"""What is composed for a run before anything of it exists."""

from __future__ import annotations

from chrun.engine.containers import compose
from chrun.engine.engine import Engine
from chrun.engine.progress import Silent
from chrun.engine.request import RunRequest
from chrun.linux.host import Lack
from chrun.oci.options import RunOptions


class WithoutOverlay(Engine):
    """An engine on a machine that has all but one thing."""

    def probe(self, _host):
        return (Lack("overlay", "the kernel has none"),)


def compose_on(engine_class, tmp_path, **wishes):
    (tmp_path / "root").mkdir()
    request = RunRequest(str(tmp_path / "root"), RunOptions(("sh",)), **wishes)
    return compose(engine_class(str(tmp_path / "data"), Silent), request)


def test_a_copy_for_lack_of_an_overlay_is_told(tmp_path):
    composed = compose_on(WithoutOverlay, tmp_path)
    assert composed.rootfs.kind == "copy"
    assert composed.notices == ("copying the image, for lack of an overlay: the kernel has none",)


def test_a_copy_that_was_asked_for_is_no_news(tmp_path):
    composed = compose_on(WithoutOverlay, tmp_path, rootfs="copy")
    assert (composed.rootfs.kind, composed.notices) == ("copy", ())
