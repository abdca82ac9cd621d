"""Limits in config.json: runtime-spec config-linux.md and config.md, "rlimits"."""

from __future__ import annotations

from chrun.oci.limits_json import resources_json, rlimits_json
from chrun.oci.spec import Process, Resources, Rlimit, Spec, Throttle


def test_only_what_is_asked_for_is_written():
    assert resources_json(Resources()) == {}


def test_resources_have_the_names_of_the_runtime_spec():
    asked = Resources(
        memory=1, swap=-1, cpu_quota=2, cpu_period=3, cpu_shares=4, cpus="0", pids=5,
        blkio_weight=10, throttles=(Throttle("rbps", 8, 1, 6), Throttle("wiops", 8, 2, 7)),
    )  # fmt: skip
    assert resources_json(asked) == {
        "memory": {"limit": 1, "swap": -1},
        "cpu": {"shares": 4, "quota": 2, "period": 3, "cpus": "0"},
        "pids": {"limit": 5},
        "blockIO": {
            "weight": 10,
            "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 6}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 2, "rate": 7}],
        },
    }


def test_no_limit_is_the_largest_number():
    assert rlimits_json((Rlimit("RLIMIT_CORE", 0, -1),)) == [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1}
    ]


def test_the_spec_holds_both():
    spec = Spec(
        Process(("true",), rlimits=(Rlimit("RLIMIT_CORE", 0, 0),)), resources=Resources(pids=5)
    ).to_json()
    assert '"pids": {"limit": 5}' in str(spec).replace("'", '"')
    assert "RLIMIT_CORE" in str(spec)
