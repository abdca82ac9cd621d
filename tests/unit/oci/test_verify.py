"""The verifying reader: no consumer gets to the end of wrong bytes."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrun.errors import DigestMismatchError
from chrun.oci.digest import Digest
from chrun.oci.manifest import Descriptor
from chrun.oci.verify import verified


def _descriptor(content, size=None):
    return Descriptor("x", Digest.of(content), len(content) if size is None else size)


@given(st.lists(st.binary()))
def test_right_bytes_pass_in_whatever_pieces(chunks):
    content = b"".join(chunks)
    assert list(verified("it", chunks, _descriptor(content))) == chunks


@given(st.binary(min_size=1), st.binary())
def test_wrong_bytes_never_reach_their_end(content, other):
    if content != other:
        with pytest.raises(DigestMismatchError, match=r"^cannot fetch it: "):
            list(verified("it", [other], _descriptor(content)))


def test_too_many_bytes_are_not_passed_on():
    passed = []
    with pytest.raises(DigestMismatchError, match="got more than the expected 3 bytes"):
        passed.extend(verified("it", [b"ab", b"cd", b"ef"], _descriptor(b"abcdef", 3)))
    assert passed == [b"ab"]


def test_an_endless_body_is_left_at_its_size():
    def endless():
        while True:
            yield b"x" * 10

    with pytest.raises(DigestMismatchError):
        list(verified("it", endless(), _descriptor(b"", 95)))


def test_too_few_bytes_are_told_with_both_sizes():
    with pytest.raises(DigestMismatchError, match="got 2 bytes, expected 3"):
        list(verified("it", [b"ab"], _descriptor(b"abc")))


def test_another_digest_is_told_with_both_digests():
    with pytest.raises(DigestMismatchError) as raised:
        list(verified("it", [b"abx"], _descriptor(b"abc")))
    assert str(raised.value) == (
        f"cannot fetch it: content after 3 bytes has digest {Digest.of(b'abx')}, "
        f"expected {Digest.of(b'abc')}"
    )


def test_sha512_is_checked_as_sha512():
    digest = Digest("sha512", hashlib.sha512(b"abc").hexdigest())
    assert list(verified("it", [b"abc"], Descriptor("x", digest, 3))) == [b"abc"]
    with pytest.raises(DigestMismatchError, match="sha512:"):
        list(verified("it", [b"abx"], Descriptor("x", digest, 3)))
