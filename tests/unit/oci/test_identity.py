"""Who `User` means."""

from __future__ import annotations

import tracemalloc

import pytest

from chrun.errors import UsageError
from chrun.oci.convert import Identity
from chrun.oci.identity import resolve_identity

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
redis:x:999:998:Redis:/data:/bin/sh
42:x:0:0:root by a name of digits:/root:/bin/sh
4294967299:x:0:0:likewise:/root:/bin/sh
broken line
huge:x:4294967296:1::/:
nohome:x:5:5:::
"""
GROUP = b"""root:x:0:
redis:x:998:
disk:x:6:redis,other
tty:x:5:redis
42:x:0:
wrong:x:notanumber:redis
"""


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("", Identity(0, 0, (0,), "/root")),
        ("root", Identity(0, 0, (0,), "/root")),
        ("redis", Identity(999, 998, (998, 6, 5), "/data")),
        ("999", Identity(999, 998, (998, 6, 5), "/data")),
        ("redis:disk", Identity(999, 6, (6,), "/data")),
        ("redis:1234", Identity(999, 1234, (1234,), "/data")),
        ("1000", Identity(1000, 0, (0,), "/")),
        ("1000:1000", Identity(1000, 1000, (1000,), "/")),
        ("redis:", Identity(999, 998, (998, 6, 5), "/data")),
        (":disk", Identity(0, 6, (6,), "/root")),
        ("nohome", Identity(5, 5, (5,), "/")),
    ],
)
def test_names_and_numbers_are_found_as_docker_finds_them(user, identity):
    assert resolve_identity(user, PASSWD, GROUP) == identity


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("42", Identity(42, 0, (0,), "/")),
        ("042", Identity(42, 0, (0,), "/")),
        ("999:42", Identity(999, 42, (42,), "/data")),
    ],
)
def test_a_number_is_nobodys_name(user, identity):
    # CVE-2026-30892: who is told to run as user 42 would be root where an image calls root so
    assert resolve_identity(user, PASSWD, GROUP) == identity


def test_a_number_that_no_id_can_be_is_nobodys_name_either():
    # CVE-2024-40635
    for user in ("4294967299", "9" * 5000):
        with pytest.raises(UsageError, match="ids go from 0 to 2147483647"):
            resolve_identity(user, PASSWD, GROUP)


@pytest.mark.parametrize("user", ["nobody", "redis:nogroup", "huge", "-1", "4294967296", "1:-5"])
def test_who_does_not_exist_or_would_wrap_around_is_an_error(user):
    # CVE-2024-40635: an id past 2^31 must not become root somewhere
    with pytest.raises(UsageError, match="cannot run as user"):
        resolve_identity(user, PASSWD, GROUP)


@pytest.mark.parametrize("user", ["2147483648", "4294967295:0", "0:2147483648"])
def test_an_id_out_of_range_says_which_are_allowed(user):
    with pytest.raises(UsageError, match="ids go from 0 to 2147483647"):
        resolve_identity(user, PASSWD, GROUP)


def test_an_image_without_account_files_has_root_by_number():
    assert resolve_identity("", b"", b"") == Identity(0, 0, (0,), "/")
    with pytest.raises(UsageError, match="not in the image's /etc/passwd"):
        resolve_identity("redis", b"", b"")


def test_bytes_that_are_no_text_do_no_harm():
    assert resolve_identity("redis", b"\xff\xfe:x:1:1::/:\n" + PASSWD, b"\xff").uid == 999


def test_added_groups_come_behind_those_of_the_image_each_once():
    identity = resolve_identity("redis", PASSWD, GROUP, ("tty", "4711", "disk", "4711"))
    assert identity.groups == (998, 6, 5, 4711)


def test_added_groups_hold_also_where_the_group_was_chosen():
    assert resolve_identity("redis:root", PASSWD, GROUP, ("tty",)).groups == (0, 5)


def test_nobody_loses_the_own_group_by_a_setgid_program():
    # CVE-2022-36109, CVE-2023-25173: without it a group that is denied could be shaken off
    assert resolve_identity("1000:1000", PASSWD, GROUP).groups == (1000,)


@pytest.mark.parametrize("group", ["nogroup", "2147483648", "-1", "wrong", ""])
def test_an_added_group_that_the_image_has_not_is_an_error(group):
    with pytest.raises(UsageError, match="cannot join group"):
        resolve_identity("", PASSWD, GROUP, (group,))


# What a program may read as a number though it is none here: by a sign, space, base or script
ODD_NUMBERS = (
    "+0", "-0", " 0", "0 ", "\t0", "+ 0", "--0", "0x0", "0X0", "0o0", "0b0", "0x", "0_0", "1e3",
    "0.0", "0,0", "\u0660", "\uff10", "\u0966", "\u00b2", "\u00bd", "0\u0660", "\u00a00", "-1",
    "4294967296", "-4294967296", "+4294967296", "18446744073709551616", "2147483648", "00000000000",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD_NUMBERS)
def test_what_resembles_a_number_is_nobodys_name(name):
    """CVE-2026-46680: an image called its root so, and USER with such a number ran as root."""
    passwd = f"{name}:x:0:0:root:/root:/bin/sh\n".encode() + PASSWD
    group = f"{name}:x:0:\n".encode() + GROUP
    for user in (name, f"{name}:0", f"0:{name}", f"redis:{name}", f"{name}:{name}"):
        with pytest.raises(UsageError, match=f"ids go from 0 to {(1 << 31) - 1}, written in"):
            resolve_identity(user, passwd, group)
    with pytest.raises(UsageError, match="cannot join group"):
        resolve_identity("redis", passwd, group, (name,))


@pytest.mark.parametrize("name", ["3proxy", "7zip", "e3", "x0", "beef", "_0", "u0", "0day"])
def test_a_name_may_have_digits_in_it(name):
    passwd, group = f"{name}:x:7:8::/:\n".encode(), f"{name}:x:9:\n".encode()
    assert resolve_identity(name, passwd, group).uid == 7
    assert resolve_identity(f"{name}:{name}", passwd, group, (name,)).gid == 9


SIZE = 1 << 20  # bytes; tests/attacks/test_accounts.py has as many as are ever read


@pytest.mark.parametrize(
    "line",
    [b"\n", b":", b":::::::\n", b"x:x:1:1::/:\n", b"a", b"redis,", b",", b"\xff", b"g:x:1:redis\n"],
)
def test_account_files_of_any_content_take_little_memory(line):
    """CVE-2026-47262, -61801, -135844: millions of lines, or one that never ends."""
    content = line * (SIZE // len(line))
    account = b"redis:x:9:9::/:\n"
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match="not in the image's /etc/passwd"):
            resolve_identity("nobody", content, b"")
        for group in (content, b"g:x:1:" + content):
            assert resolve_identity("redis", account, group).uid == 9
        _size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * SIZE


def test_more_groups_than_a_process_can_have_are_an_error():
    """CVE-2026-135844: setgroups(2) takes 65536 of them."""
    lines = [f"g:x:{number}:redis\n".encode() for number in range(1 << 16)]
    assert len(resolve_identity("redis", PASSWD, b"".join(lines)).groups) == 1 << 16
    lines.append(b"g:x:65536:redis\n")
    with pytest.raises(UsageError, match="it is in 65537 groups, expected at most 65536"):
        resolve_identity("redis", PASSWD, b"".join(lines))
