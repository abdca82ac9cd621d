"""Digests: only what may safely become a file's name."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrun.errors import ContentError
from chrun.oci.digest import Digest

_HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("text", [f"sha256:{_HEX}", f"sha512:{_HEX}{_HEX}"])
def test_registered_digests_survive_being_read_and_written(text):
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        f":{_HEX}",
        _HEX,
        f"sha256:{_HEX[:-1]}",
        f"sha256:{_HEX}0",
        f"sha512:{_HEX}",
        f"sha256:{_HEX.upper()}",
        f"SHA256:{_HEX}",
        f"md5:{_HEX[:32]}",
        f"sha256: {_HEX[:-1]}",
        f"sha256:{_HEX}\n",
        f"sha256:{_HEX[:-1]}\n",
        f"sha256:{_HEX}:{_HEX}",
        "sha256:../../../../etc/passwd",
        f"sha256:{'../' * 21}x",
        f"sha256:{'.' * 64}",
        f"sha256:{'٣' * 64}",
        f"../sha256:{_HEX}",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ContentError, match="not sha256 or sha512 in hex"):
        Digest.parse(text)


@given(st.text())
def test_no_text_reaches_a_file_name_unchecked(text):
    with pytest.raises(ContentError):
        Digest.parse(f"sha256:{text}")


def test_an_endless_text_is_not_printed_endlessly():
    with pytest.raises(ContentError) as raised:
        Digest.parse("x" * 100_000)
    assert len(str(raised.value)) < 300


@given(st.binary())
def test_the_digest_of_bytes_is_their_sha256(content):
    assert Digest.of(content) == Digest.parse(f"sha256:{hashlib.sha256(content).hexdigest()}")


def test_the_short_form_is_dockers():
    assert Digest.parse(f"sha256:{_HEX}").short == "0123456789ab"
