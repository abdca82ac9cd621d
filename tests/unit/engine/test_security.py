"""Words of the command line about what a process may do."""

from __future__ import annotations

import pytest

from chrun.engine.security import grant, parse_security
from chrun.errors import UnsupportedError, UsageError
from chrun.linux import caps
from chrun.linux.host import read_host
from chrun.oci.convert import IdMaps
from chrun.oci.options import RunOptions, SecurityOptions
from chrun.oci.spec import IdMapping

ONE_ID = IdMaps((IdMapping(0, 1000, 1),), (IdMapping(0, 1000, 1),))


def read(*security_opt: str, add: str = "", drop: str = "") -> SecurityOptions:
    return parse_security(
        cap_add=(add,) if add else (),
        cap_drop=(drop,) if drop else (),
        privileged=False,
        security_opt=security_opt,
    )


@pytest.mark.parametrize("word", ["CAP_NET_ADMIN", "net_admin", "Net_Admin", "cap_net_admin"])
def test_a_capability_has_many_spellings_and_one_name(word):
    assert read(add=word).cap_add == ("CAP_NET_ADMIN",)
    assert read(drop=word).cap_drop == ("CAP_NET_ADMIN",)


def test_several_may_be_named_at_once():
    assert read(add="chown,all,chown").cap_add == ("CAP_CHOWN", "ALL")


def test_a_misspelt_capability_gets_a_suggestion():
    with pytest.raises(UsageError, match="cannot find the capability 'net_amdin'") as caught:
        read(add="net_amdin")
    assert caught.value.hint == "did you mean CAP_NET_ADMIN?"


def test_a_capability_that_is_nothing_like_any_other_has_no_suggestion():
    with pytest.raises(UsageError) as caught:
        read(add="%%%%")
    assert caught.value.hint == "capabilities(7) lists them"


@pytest.mark.parametrize(("add", "drop"), [("chown", "cap_chown"), ("all", "ALL")])
def test_adding_and_dropping_the_same_is_a_contradiction(add, drop):
    with pytest.raises(UsageError, match=r"cannot use --cap-add .* with --cap-drop"):
        read(add=add, drop=drop)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("no-new-privileges", SecurityOptions(no_new_privileges=True)),
        ("no-new-privileges:true", SecurityOptions(no_new_privileges=True)),
        ("no-new-privileges=false", SecurityOptions(no_new_privileges=False)),
        ("seccomp=unconfined", SecurityOptions(seccomp="unconfined")),
        ("seccomp:unconfined", SecurityOptions(seccomp="unconfined")),
        ("systempaths=unconfined", SecurityOptions(unmasked=("ALL",))),
        ("unmask=all", SecurityOptions(unmasked=("ALL",))),
        ("unmask=/proc/kcore:/proc/a*", SecurityOptions(unmasked=("/proc/kcore", "/proc/a*"))),
        ("mask=/etc/shadow:/a=b", SecurityOptions(masked=("/etc/shadow", "/a=b"))),
        ("apparmor=unconfined", SecurityOptions()),
        ("label=disable", SecurityOptions()),
        ("label:disable", SecurityOptions()),
    ],
)
def test_security_options_are_read_as_docker_and_podman_write_them(text, options):
    assert read(text) == options


@pytest.mark.parametrize(
    "text",
    ["", "seccomp", "seccomp=", "no-new-privileges=maybe", "systempaths=x", "mask=", "mask=a",
     "mask=/a/../b", "unmask=proc", "credentialspec=file://x", "proc-opts=hidepid=2"],
)  # fmt: skip
def test_what_is_not_known_is_an_error(text):
    with pytest.raises(UsageError):
        read(text)


@pytest.mark.parametrize("text", ["apparmor=docker-default", "label=type:svirt_t"])
def test_a_profile_of_a_module_that_is_not_used_is_refused_rather_than_ignored(text):
    with pytest.raises(UnsupportedError, match="cannot use --security-opt"):
        read(text)


def granted(security: SecurityOptions, rung: str = "confined", maps: IdMaps = ONE_ID) -> RunOptions:
    return grant(RunOptions(security=security), rung, read_host(), maps)[0]


def test_a_user_namespace_has_every_capability_that_the_kernel_knows():
    available = granted(SecurityOptions(cap_add=("CAP_SYS_MODULE",))).security.available
    assert available == caps.NAMES[: caps.last_number() + 1]


@pytest.mark.parametrize(
    "security",
    [
        SecurityOptions(privileged=True),
        SecurityOptions(no_new_privileges=False),
        SecurityOptions(seccomp="unconfined"),
        SecurityOptions(cap_add=("ALL",)),
        SecurityOptions(unmasked=("ALL",)),
    ],
)
def test_what_would_leave_nothing_of_a_seal_contradicts_it(security):
    with pytest.raises(UsageError, match="with --isolation sealed: they contradict"):
        granted(security, rung="sealed")
