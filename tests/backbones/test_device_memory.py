"""Memory of the machine: the smallest of what it has and what control groups grant."""

import pytest
import torch

from cliptune.backbones import device_memory
from cliptune.backbones.device_memory import cgroup_limits


@pytest.fixture
def limits(tmp_path):
    """Writes a process's group and the files of groups; returns the limits that are found."""

    def found(group: str, files: dict[str, str]) -> list[int]:
        (tmp_path / "cgroup").write_text(f"{group}\n")
        for name, text in files.items():
            path = tmp_path / "fs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return list(cgroup_limits(tmp_path / "cgroup", tmp_path / "fs"))

    return found


def test_limits_of_this_group_and_those_above(limits):
    assert limits("0::/job/step", {"job/memory.max": "4000", "job/step/memory.max": "max"}) == [4000]
    assert limits("0::/", {"memory.max": "300"})[0] == 300


def test_a_container_that_does_not_see_its_own_group(limits):
    assert limits("0::/docker/abc", {"memory.max": "5000"}) == [5000]


def test_limits_of_version_1(limits):
    name = "memory.limit_in_bytes"
    files = {f"memory/{name}": "9223372036854771712", f"memory/job/{name}": "7000"}
    assert limits("5:cpu:/other\n4:hugetlb,memory:/job", files) == [9223372036854771712, 7000]


def test_no_groups(tmp_path):
    assert list(cgroup_limits(tmp_path / "missing", tmp_path)) == []


def test_the_smallest_counts(monkeypatch):
    monkeypatch.setattr(device_memory, "_physical_memory", lambda: 1000)
    monkeypatch.setattr(device_memory, "cgroup_limits", lambda: iter([5000, 700]))
    assert device_memory.device_memory.__wrapped__(torch.device("cpu")) == 700
    monkeypatch.setattr(device_memory, "_physical_memory", lambda: 0)
    monkeypatch.setattr(device_memory, "cgroup_limits", lambda: iter([]))
    assert device_memory.device_memory.__wrapped__(torch.device("cpu")) == device_memory.UNKNOWN


def test_this_machine():
    assert 1 << 26 < device_memory.device_memory(torch.device("cpu")) < 1 << 50
