"""References, by the distribution project's grammar and its tables of good and bad ones."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chrun.errors import InvalidReferenceError
from chrun.oci.digest import Digest
from chrun.oci.reference import Reference

_HEX = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
_DIGEST = f"sha256:{_HEX}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("test_com", "docker.io/library/test_com:latest"),
        ("test.com:tag", "docker.io/library/test.com:tag"),
        ("test.com:5000", "docker.io/library/test.com:5000"),
        ("test.com/repo:tag", "test.com/repo:tag"),
        ("test:5000/repo", "test:5000/repo:latest"),
        ("test:5000/repo:tag", "test:5000/repo:tag"),
        (f"test:5000/repo@{_DIGEST}", f"test:5000/repo@{_DIGEST}"),
        (f"test:5000/repo:tag@{_DIGEST}", f"test:5000/repo:tag@{_DIGEST}"),
        ("lowercase:Uppercase", "docker.io/library/lowercase:Uppercase"),
        ("Uppercase/lowercase", "Uppercase/lowercase:latest"),
        ("sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com/bar/baz/quux:latest"),
        (
            "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
            "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
        ),
        ("b.gcr.io/test.example.com/my-app:t.e", "b.gcr.io/test.example.com/my-app:t.e"),
        ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com/myimage:xn--n3h.com"),
        ("foo_bar.com:8080", "docker.io/library/foo_bar.com:8080"),
        ("foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com:8080"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("192.168.1.1", "docker.io/library/192.168.1.1:latest"),
        ("192.168.1.1:5000/x", "192.168.1.1:5000/x:latest"),
        ("[2001:db8::1]/repo", "[2001:db8::1]/repo:latest"),
        ("[2001:db8:1:2:3:4:5:6]:5000/repo:tag", "[2001:db8:1:2:3:4:5:6]:5000/repo:tag"),
        ("[::1]:5000/repo", "[::1]:5000/repo:latest"),
        ("docker.io/redis", "docker.io/library/redis:latest"),
        ("docker.io/library/redis", "docker.io/library/redis:latest"),
        ("index.docker.io/redis", "docker.io/library/redis:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ("docker.io/a/b:c", "docker.io/a/b:c"),
        ("library/redis", "docker.io/library/redis:latest"),
        ("ghcr.io/a/b@" + _DIGEST, "ghcr.io/a/b@" + _DIGEST),
        (f"redis@sha512:{_HEX}{_HEX}", f"docker.io/library/redis@sha512:{_HEX}{_HEX}"),
        ("a" * 128 + ":tag", "docker.io/library/" + "a" * 128 + ":tag"),
        ("foo--bar/a__b/c.d/e---f", "docker.io/foo--bar/a__b/c.d/e---f:latest"),
        ("a:" + "t" * 128, "docker.io/library/a:" + "t" * 128),
        ("a:_tag", "docker.io/library/a:_tag"),
    ],
)
def test_good_references_mean_what_they_mean_to_docker(text, expected):
    assert str(Reference.parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":justtag",
        f"@{_DIGEST}",
        "repo@sha256:ffffffffffffffffffffffffffffffffff",
        f"validname@invaliddigest:{_HEX}",
        f"validname@md5:{'f' * 32}",
        f"repo@sha256:{_HEX.upper()}",
        "Uppercase:tag",
        "test:5000/Uppercase/lowercase:tag",
        "aa/asdf$$^/aa",
        "-foo/bar",
        "foo/bar-",
        "-test.com/repo",
        "test-.com/repo",
        "test..com/repo",
        "foo//bar",
        "/foo",
        "foo/",
        "a___b",
        "a..b",
        "a._b",
        ".a",
        "_a",
        "a_",
        "a:",
        "a:.tag",
        "a:-tag",
        "a:" + "t" * 129,
        "a@b",
        "a:tag:tag",
        "a b",
        " a",
        "a\n",
        "a:tag\n",
        "ä",
        "a:ä",
        "٣",  # a digit, but not one of ASCII's
        "[fe80::1%eth0]:5000/repo",
        "[2001:db8::1]",
        "[2001:db8::1]:5000",
        "2001:db8::1/repo",
        "https://ghcr.io/a/b",
        "ghcr.io/../b",
        "../etc/passwd",
        "x/../../y",
        "registry:port/x",
        "a/" * 128 + "a",
        "x:5000/" + "a" * 256,
        _HEX,
    ],
)
def test_bad_references_are_refused_in_one_line(text):
    with pytest.raises(InvalidReferenceError) as raised:
        Reference.parse(text)
    assert str(raised.value).startswith("cannot parse reference ")
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("Redis", "the repository must be lower case"),
        ("ghcr.io/Team/app", "the repository must be lower case"),
        ("https://ghcr.io/a", "it is a URL; leave the scheme out"),
        (_HEX, "64 hex digits are an image ID, not a name"),
        ("a b", "expected [registry/]name[:tag][@digest]"),
        ("a" * 256, "the name is longer than 255 characters"),
        ("a@md5:" + "f" * 32, "not sha256 or sha512 in hex"),
    ],
)
def test_the_error_says_what_is_wrong(text, why):
    with pytest.raises(InvalidReferenceError) as raised:
        Reference.parse(text)
    assert str(raised.value).endswith(why)


def test_an_endless_reference_is_not_printed_endlessly():
    with pytest.raises(InvalidReferenceError) as raised:
        Reference.parse("A" * 100_000)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/redis:7", "redis:7"),
        ("redis", "redis:latest"),
        ("docker.io/a/b:c", "a/b:c"),
        ("ghcr.io/a/b:c", "ghcr.io/a/b:c"),
        ("docker.io/library/a/b:c", "library/a/b:c"),
        ("docker.io/x.y/b:c", "docker.io/x.y/b:c"),
        (f"redis@{_DIGEST}", f"redis@{_DIGEST}"),
    ],
)
def test_familiar_is_what_docker_shows(text, familiar):
    assert Reference.parse(text).familiar == familiar


def test_the_digest_decides_where_there_is_one():
    assert Reference.parse("redis:7").selector == "7"
    assert Reference.parse("redis").selector == "latest"
    assert Reference.parse(f"redis:7@{_DIGEST}").selector == _DIGEST
    assert Reference.parse(f"redis@{_DIGEST}").tag == ""


_components = st.from_regex(r"[a-z0-9]{1,9}((\.|_|__|-{1,3})[a-z0-9]{1,9}){0,2}", fullmatch=True)
_paths = st.lists(_components, min_size=1, max_size=4).map("/".join)
_labels = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
_names = st.lists(_labels, min_size=2, max_size=4).map(".".join)
_hosts = st.one_of(st.just("localhost"), st.just("[2001:db8::1]"), _names)
_ports = st.one_of(st.just(""), st.integers(0, 65535).map(lambda port: f":{port}"))
_domains = st.tuples(_hosts, _ports).map("".join)
_tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", fullmatch=True)
_digests = st.one_of(
    st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    st.from_regex(r"sha512:[0-9a-f]{128}", fullmatch=True),
)


@st.composite
def _references(draw):
    """Give the parts of a valid reference, "" for those that are left out."""
    return (
        draw(st.one_of(st.just(""), _domains)),
        draw(_paths),
        draw(st.one_of(st.just(""), _tags)),
        draw(st.one_of(st.just(""), _digests)),
    )


def _joined(parts):
    domain, path, tag, digest = parts
    return "".join(
        [
            f"{domain}/" if domain else "",
            path,
            f":{tag}" if tag else "",
            f"@{digest}" if digest else "",
        ]
    )


@given(_references())
def test_every_valid_reference_is_read_into_its_parts(parts):
    domain, path, tag, digest = parts
    text = _joined(parts)
    if not domain and "/" in path and ("." in path.split("/")[0] or path.startswith("localhost/")):
        domain, path = path.split("/", 1)  # what looks like a host is one
    reference = Reference.parse(text)
    assert reference.digest == (Digest.parse(digest) if digest else None)
    assert reference.tag == (tag or ("" if digest else "latest"))
    if domain not in ("", "docker.io", "index.docker.io"):
        assert (reference.registry, reference.repository) == (domain, path)
    else:
        assert reference.registry == "docker.io"
        assert reference.repository in (path, f"library/{path}")


@given(_references())
@example(("docker.io", "library/a.b/c", "", ""))
@example(("docker.io", "localhost/c", "", ""))
def test_references_survive_being_written_and_read(parts):
    reference = Reference.parse(_joined(parts))
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
    assert len(reference.familiar) <= len(str(reference))


@given(st.text(max_size=60))
@example("a/b:c@d")
def test_any_text_is_a_reference_or_a_clear_error(text):
    with suppress(InvalidReferenceError):
        reference = Reference.parse(text)
        assert Reference.parse(str(reference)) == reference
        assert ".." not in reference.repository
