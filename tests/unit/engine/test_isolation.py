"""Which walls a run gets: the strongest by itself, the named one or none when one is named."""

from __future__ import annotations

import pytest

from chrun.engine.isolation import choose_rung
from chrun.errors import UnsupportedError
from chrun.linux.host import Host, Lack

ROOT = Host(uid=0, gid=0, privileged=True, machine="x86_64", release="6.1.0-10", may_chroot=True)
NESTED_ROOT = ROOT.replace(privileged=False)  # of a container without CAP_SYS_ADMIN
USER = Host(uid=1000, gid=1000, privileged=False, machine="x86_64", release="6.1.0-10")


def lacking(host, what):
    return host.replace(lacks=(Lack(what, "this kernel is too small", "take another one"),))


@pytest.mark.parametrize("host", [ROOT, USER])
def test_auto_is_the_strongest_rung_where_nothing_is_missing(host):
    assert choose_rung(host, "auto") == ("confined", ())


@pytest.mark.parametrize(
    ("host", "what"),
    [(ROOT, "namespaces"), (ROOT, "proc"), (NESTED_ROOT, "namespaces")],
)
def test_auto_falls_to_chroot_for_root_and_says_so(host, what):
    rung, (notice,) = choose_rung(lacking(host, what), "auto")
    assert rung == "chroot"
    assert "only the root directory is changed" in notice
    assert "this kernel is too small; take another one" in notice


@pytest.mark.parametrize("what", ["namespaces", "proc"])
@pytest.mark.parametrize("wanted", ["namespaces", "confined"])
def test_a_rung_asked_for_by_name_never_becomes_a_weaker_one(wanted, what):
    with pytest.raises(UnsupportedError, match="this kernel is too small") as caught:
        choose_rung(lacking(ROOT, what), wanted)
    assert caught.value.hint == "take another one"


@pytest.mark.parametrize("wanted", ["namespaces", "confined", "chroot"])
def test_a_rung_asked_for_by_name_is_taken_without_a_word(wanted):
    assert choose_rung(ROOT, wanted) == (wanted, ())


def test_chroot_by_name_needs_nothing_else():
    assert choose_rung(lacking(ROOT, "namespaces"), "chroot") == ("chroot", ())


@pytest.mark.parametrize("wanted", ["auto", "namespaces", "confined"])
def test_an_ordinary_user_has_no_rung_below_namespaces(wanted):
    with pytest.raises(UnsupportedError, match="cannot isolate the container"):
        choose_rung(lacking(USER, "namespaces"), wanted)


def test_chroot_is_not_for_an_ordinary_user():
    with pytest.raises(UnsupportedError, match=r"chroot\(2\) is for root"):
        choose_rung(USER, "chroot")


@pytest.mark.parametrize("what", ["overlay", "listener"])
def test_what_has_nothing_to_do_with_isolation_weakens_none(what):
    assert choose_rung(lacking(USER, what), "auto") == ("confined", ())
