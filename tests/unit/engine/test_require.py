"""Facts against receipts made by hand: those that no machine of the tests can show."""

from __future__ import annotations

import os

import pytest

from chrun.engine.require import check, parse_facts, shown_rung
from chrun.errors import UsageError
from chrun.linux.process import Filters, Namespace, read_process
from chrun.oci.convert import DEFAULT_CAPABILITIES
from chrun.oci.spec import CapabilitySets, IdMapping
from chrun.runtime.receipt import Context, Kernel, Receipt, SeenPath
from chrun.runtime.receipt_limits import Bounds, Cgroup

CONTEXT = Context(
    "1.0", "id", "image", "", "confined", (), landlock=False, pretending=0, listed=True, joined=()
)
KERNEL = Kernel("6.1.0", "x86_64", 3, None)
TYPES = ("mount", "pid", "ipc", "uts", "cgroup", "network", "user")


@pytest.fixture(scope="module")
def sealed():
    """A receipt of a container that shows everything."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    process = read_process(pid)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    process = process.replace(
        own_root=True,
        uid_map=(IdMapping(0, 0, 4294967295),),
        capabilities=CapabilitySets(),
        no_new_privileges=True,
        seccomp=Filters("filter", 1),
        namespaces=tuple(Namespace(name, 7, own=True) for name in TYPES),
        descriptors=process.descriptors[:3],
        interfaces=("lo", "sit0"),
    )
    cgroup = Cgroup(2, (), "/c", True, (), Bounds(1 << 20, 10, 0.5), Bounds(1 << 20, 10, 0.5))
    return Receipt(
        CONTEXT.replace(landlock=True),
        KERNEL,
        process,
        Filters("disabled", 0),
        root_readonly=True,
        masked=(SeenPath("/proc/kcore", "hidden"),),
        readonly=(SeenPath("/proc/sys", "read-only"),),
        cgroups=(cgroup,),
    )


def found(receipt, text):
    (finding,) = check(receipt, parse_facts((text,)))
    assert finding.holds == (finding.found == "")
    return finding.found


ALL = (
    "userns,mountns,pidns,netns,ipcns,utsns,cgroupns,seccomp,nnp,landlock,readonly,limits,masked,"
    "fds,caps=none,nocap=chown,net=none,net=private,rung=sealed,memory<=1m,pids<=10,cpus<=0.5"
)


def test_a_container_that_shows_everything_fulfils_every_fact(sealed):
    assert [finding.found for finding in check(sealed, parse_facts((ALL,)))] == [""] * 22
    assert shown_rung(sealed) == "sealed"


@pytest.mark.parametrize("text", ["", " ", "seccomp,", ",nnp"])
def test_a_fact_that_is_empty_does_not_mean_that_none_is_required(text):
    with pytest.raises(UsageError, match="cannot require '': there is no such fact"):
        parse_facts((text,))


def test_a_namespace_that_the_kernel_has_not_is_no_namespace(sealed):
    process = sealed.process.replace(namespaces=())
    assert found(sealed.replace(process=process), "pidns") == "a kernel without pid namespaces"


@pytest.mark.parametrize(
    ("held", "inherited", "pretending", "shown"),
    [
        (Filters("filter", 1), Filters("disabled", 0), 0, True),
        (Filters("filter", 2), Filters("filter", 1), 0, True),
        (Filters("filter", 2), Filters("disabled", 0), 1, True),
        (Filters("filter", 1), Filters("disabled", 0), 1, False),
        (Filters("filter", 1), Filters("filter", 1), 0, False),
        (Filters("strict", 0), Filters("disabled", 0), 0, False),
        (Filters("disabled", 0), Filters("disabled", 0), 0, False),
        # before Linux 5.9, which counts them: only where there can be no other
        (Filters("filter", None), Filters("disabled", None), 0, True),
        (Filters("filter", None), Filters("disabled", None), 1, False),
        (Filters("filter", None), Filters("filter", None), 0, False),
    ],
)
def test_only_a_filter_that_is_the_containers_and_shuts_counts(
    sealed, held, inherited, pretending, shown
):
    receipt = sealed.replace(
        process=sealed.process.replace(seccomp=held),
        inherited=inherited,
        context=sealed.context.replace(pretending=pretending),
    )
    assert (found(receipt, "seccomp") == "") is shown


def test_another_containers_namespace_is_not_the_containers_own(sealed):
    receipt = sealed.replace(context=sealed.context.replace(joined=("pid", "network")))
    assert found(receipt, "pidns") == "another container's pid namespace"
    assert found(receipt, "net=none") == "another container's network namespace"
    assert found(receipt, "rung=namespaces") == "another container's pid namespace"
    assert found(receipt, "ipcns") == ""


def test_a_rung_wants_chruns_own_list_of_system_calls(sealed):
    receipt = sealed.replace(context=sealed.context.replace(listed=False))
    assert found(receipt, "seccomp") == ""
    assert found(receipt, "rung=confined") == "a filter that is not chrun's list"
    assert shown_rung(receipt) == "namespaces"


@pytest.mark.parametrize("name", ["effective", "permitted", "inheritable", "ambient"])
def test_a_capability_in_any_set_is_one(sealed, name):
    sets = CapabilitySets(**{name: ("CAP_KILL",)})
    receipt = sealed.replace(process=sealed.process.replace(capabilities=sets))
    assert found(receipt, "caps=none") == "CAP_KILL"
    assert found(receipt, "nocap=KILL") == "CAP_KILL"
    assert found(receipt, "nocap=chown") == ""


def test_the_bounding_set_counts_where_a_program_could_give_it(sealed):
    process = sealed.process.replace(capabilities=CapabilitySets(bounding=("CAP_KILL",)))
    assert found(sealed.replace(process=process), "caps=none") == ""
    process = process.replace(no_new_privileges=False)
    assert found(sealed.replace(process=process), "caps=none") == "CAP_KILL"


def test_an_interface_that_leads_out_is_a_network(sealed):
    process = sealed.process.replace(interfaces=("eth0", "lo", "tunl0"))
    assert found(sealed.replace(process=process), "net=none") == "eth0"
    assert found(sealed.replace(process=process), "net=private") == ""


def test_an_id_that_is_not_mapped_is_nobodys(sealed):
    process = sealed.process.replace(uid_map=())
    assert found(sealed.replace(process=process), "nonroot") == "user 0"
    assert found(sealed.replace(process=process), "uid=5") == "uid None"


def test_limits_of_somebody_else_bound_but_are_not_the_containers(sealed):
    cgroup = sealed.cgroups[0].replace(is_own=False, own_limits=Bounds())
    receipt = sealed.replace(cgroups=(cgroup,))
    assert found(receipt, "memory<=1m") == ""
    assert found(receipt, "limits") == "no limit of its own for memory and pids"


@pytest.mark.parametrize(
    ("text", "said"),
    [("memory<=1048575", "a limit of 1048576"), ("pids<=9", "a limit of 10"),
     ("cpus<=0.25", "a limit of 0.5")],
)  # fmt: skip
def test_a_limit_that_is_too_high_is_named(sealed, text, said):
    assert found(sealed, text) == said


def test_a_path_that_cannot_be_judged_is_not_taken_for_hidden(sealed):
    receipt = sealed.replace(masked=(SeenPath("/proc/keys", "unreadable"),))
    assert found(receipt, "masked") == "/proc/keys is unreadable"
    receipt = sealed.replace(readonly=(SeenPath("/proc/sys", "writable"),))
    assert found(receipt, "masked") == "/proc/sys is writable"


@pytest.mark.parametrize(
    ("change", "rung"),
    [
        ({"own_root": False}, "none"),
        ({"namespaces": ()}, "chroot"),
        ({"no_new_privileges": False}, "namespaces"),
        ({"capabilities": CapabilitySets(bounding=("CAP_SYS_ADMIN",),
                                         effective=("CAP_SYS_ADMIN",))}, "namespaces"),
        ({"capabilities": CapabilitySets(effective=DEFAULT_CAPABILITIES)}, "confined"),
    ],
)  # fmt: skip
def test_the_rung_that_is_shown_is_the_highest_of_which_nothing_is_missing(sealed, change, rung):
    receipt = sealed.replace(process=sealed.process.replace(**change))
    assert shown_rung(receipt) == rung
    if rung != "none":
        assert found(receipt, f"rung={rung}") == ""
    assert found(receipt, "rung=sealed") != ""
