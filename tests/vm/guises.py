"""What the virtual machine is booted as, and which tests it is for.

A machine that is emulated is some fifteen times slower: only tests that have something to say about
this kernel, its cgroups or its init system are played, not the suite.
"""

from __future__ import annotations

from chrun.values import Value


class Guise(Value):
    """One boot: its init, and what pytest is given for each user, in that order.

    Users are `root`, `many`, who has subordinate IDs, and `single`, who has none (image.py).
    """

    name: str
    init: str
    tests: tuple[tuple[str, tuple[str, ...]], ...]
    seconds: int

    @property
    def append(self) -> str:
        """What the kernel's command line gets: guest/vm/play reads it."""
        played = " ".join(f"play.{user}={','.join(words)}" for user, words in self.tests)
        return f"init={self.init} {played}"


_HOSTS = "tests/cli/test_hosts.py"
_CONTAINERS = "tests/cli/test_in_containers.py"
# Without what is about podman, which the guest has not
_INSIDE = (
    _CONTAINERS,
    f"--deselect={_CONTAINERS}::test_podmans_filter_leaves_all_but_the_pid_namespace_and_the_host_name",
    f"--deselect={_CONTAINERS}::test_a_host_name_asked_for_is_an_error_under_podmans_filter",
)
# Hosts that only root can make: switches of this kernel's, by which another user is kept out
_SWITCHES = (
    f"{_HOSTS}::test_unprivileged_userns_clone_0_is_named",
    f"{_HOSTS}::test_apparmors_restriction_is_named",
)
# An older kernel: no memfd_noexec (6.3), Landlock ABI 2, no user xattrs in tmpfs (6.6)
_OLDER = ("tests/vm", "tests/cli/test_isolation.py", "tests/cli/test_sealed.py")
# All controllers are in version 2 here; on a machine with trees of version 1 they are in those.
_LIMITS = (
    "tests/cli/test_limits.py",
    "tests/cli/test_device_access.py",
    "tests/kernel/test_init_cgroups.py",
)
_SYSTEMD_LIMITS = "tests/cli/test_limits_systemd.py"
# Maps that are written by Debian's programs; without what is the store's, whatever the kernel is
_USERS = "tests/cli/test_users.py"
_SUBORDINATE = (
    _USERS,
    f"--deselect={_USERS}::test_an_image_of_one_id_serves_many_without_the_network_and_the_other_way_round",
    f"--deselect={_USERS}::test_the_room_that_trees_of_subordinate_ids_took_is_told",
    f"--deselect={_USERS}::test_a_pull_that_is_killed_leaves_no_process_and_nothing_else",
)

# systemd(1), kernel-command-line(7): no questions at the first boot, no waiting for devices
_SYSTEMD_WORDS = (
    "systemd.wants=chrun-tests.service systemd.firstboot=no systemd.show_status=no"
    " systemd.mask=systemd-udevd.service systemd.mask=serial-getty@ttyS0.service"
)

GUISES = (
    Guise(
        name="plain",
        init="/vm/init",
        tests=(
            ("root", (*_OLDER, *_LIMITS, *_SWITCHES, "tests/kernel/test_launch.py")),
            ("single", (*_OLDER, _HOSTS, *_INSIDE)),
            ("many", ("tests/vm", *_SUBORDINATE)),
        ),
        seconds=1800,
    ),
    Guise(
        name="systemd",
        init=f"/lib/systemd/systemd {_SYSTEMD_WORDS}",
        tests=(
            ("root", ("tests/vm", _SYSTEMD_LIMITS)),
            ("many", ("tests/vm", _SYSTEMD_LIMITS)),
        ),
        seconds=1200,
    ),
)
