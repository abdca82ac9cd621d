"""Platforms, and which of those on offer runs on the one that is wanted."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrun.errors import UsageError
from chrun.oci.platform import Platform, machine_platform, normalized, rank


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("amd64", Platform("linux", "amd64")),
        ("x86_64", Platform("linux", "amd64")),
        ("LINUX/X86-64", Platform("linux", "amd64")),
        ("arm64", Platform("linux", "arm64", "v8")),
        ("linux/aarch64", Platform("linux", "arm64", "v8")),
        ("linux/arm64/8", Platform("linux", "arm64", "v8")),
        ("linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("linux/arm", Platform("linux", "arm", "v7")),
        ("linux/arm/v6", Platform("linux", "arm", "v6")),
        ("linux/386", Platform("linux", "386")),
        ("linux/i386", Platform("linux", "386")),
        ("windows/amd64", Platform("windows", "amd64")),
        ("linux/riscv64", Platform("linux", "riscv64")),
    ],
)
def test_platforms_are_read_as_docker_reads_them(text, expected):
    assert Platform.parse(text) == expected


@pytest.mark.parametrize("text", ["", "/", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "x/../y"])
def test_other_texts_are_errors(text):
    with pytest.raises(UsageError, match="expected os/architecture") as raised:
        Platform.parse(text)
    assert raised.value.hint == "for example linux/arm64"


def test_a_platform_is_written_without_what_it_lacks():
    assert str(Platform("linux", "amd64")) == "linux/amd64"
    assert str(Platform("linux", "arm", "v7")) == "linux/arm/v7"


def test_this_machine_has_one_that_its_own_name_leads_to():
    assert machine_platform() == Platform.parse(os.uname().machine)


@pytest.mark.parametrize(
    ("wanted", "offers", "best"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/amd64"], "linux/arm/v6"),
        ("linux/arm/v7", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm64", ["linux/arm"], None),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64/v3", ["linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/386", ["linux/amd64"], None),
    ],
)
def test_the_best_offer_is_the_nearest_that_runs(wanted, offers, best):
    ranks = {text: rank(Platform.parse(text), Platform.parse(wanted)) for text in offers}
    serving = {text: place for text, place in ranks.items() if place is not None}
    assert (min(serving, key=serving.__getitem__) if serving else None) == best


_words = st.sampled_from(
    ["", "linux", "amd64", "arm", "arm64", "v5", "v6", "v7", "v8", "v", "x", "7"]
)


@given(_words, _words, _words)
def test_being_normal_is_final_and_a_platform_serves_itself(system, architecture, variant):
    platform = normalized(Platform(system, architecture, variant))
    assert normalized(platform) == platform
    assert rank(platform, platform) == 0


@given(
    st.builds(Platform, st.text(), st.text(), st.text()),
    st.builds(Platform, _words, _words, _words),
)
def test_whatever_an_index_offers_can_be_ranked(offered, wanted):
    place = rank(offered, wanted)
    assert place is None or place >= 0
