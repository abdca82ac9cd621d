"""The bars of a pull, which are another project's code: they show what they are told."""

from __future__ import annotations

import pytest

from chrun.cli.bars import Bars
from chrun.engine.progress import Part
from chrun.oci.digest import Digest


@pytest.mark.parametrize("size", [0, 1000, (1 << 63) - 1])
def test_bars_show_layers_of_any_size(size, capsys):
    part = Part("x", 1, 2, Digest.of(b""), size)
    with Bars() as bars:
        bars.started(part, size // 2)
        bars.advanced(part, 1)
        bars.resuming(part, "[red]it sends too slowly\x1b[2J")
        bars.waiting(part.replace(position=2))
        bars.present(part)
        bars.finished(part)
    said = capsys.readouterr().err
    assert "layer 1/2 e3b0c44298fc: trying again: [red]it sends too slowly?[2J" in said
    assert "done" in said
