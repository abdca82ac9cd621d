"""What this machine and this user are."""

from __future__ import annotations

import os

from chrun.linux.host import has_all_ids, read_host, why_no_user_namespace
from tests.support.needs import needs


@needs("root")
def test_a_reason_is_looked_for_only_where_a_user_namespace_is_needed():
    host = read_host()
    assert not host.privileged or has_all_ids()
    assert bool(host.refusal) is not host.privileged


@needs("ordinary user")
def test_who_needs_a_user_namespace_is_told_why_it_may_be_refused():
    host = read_host()
    assert (host.uid, host.gid, host.privileged) == (os.geteuid(), os.getegid(), False)
    assert (host.refusal, host.remedy) == why_no_user_namespace(filtered=host.filtered)
    assert host.refusal
