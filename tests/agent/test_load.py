"""What is known of the machine's load."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.load import LoadMeter, is_noticeable
from h2s.messages import InstanceReport, Load, Report

MEMORY = "MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  250 kB\n"


class Machine:
    """Files as Linux has them."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.cgroup = folder / "proc", folder / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.cgroup.mkdir()

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)

    def meter(self) -> LoadMeter:
        return LoadMeter(proc=self.proc, cgroup=self.cgroup)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_shares_are_those_of_the_machine_since_the_last_look(machine: Machine) -> None:
    stat = machine.proc / "stat"
    machine.write(machine.proc / "meminfo", MEMORY)
    machine.write(machine.proc / "self" / "statm", "900 100 50 1 0 60 0\n")
    machine.write(stat, "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 ...\n")
    meter = machine.meter()
    machine.write(stat, "cpu  130 0 130 720 120 0 0 0 0 0\ncpu0 ...\n")
    load = meter.look()
    assert (load.cpu, load.memory) == (0.6, 0.75)
    assert load.agent_memory is not None
    assert load.agent_memory % 100 == 0
    machine.write(stat, "cpu  130 0 130 820 120 0 0 0 0 0\ncpu0 ...\n")
    assert meter.look().cpu == 0.0


def test_shares_are_those_of_the_container_where_it_has_limits(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    machine.write(machine.proc / "meminfo", MEMORY)
    machine.write(machine.proc / "stat", "cpu  100 0 100 700 100 0 0 0 0 0\n")
    machine.write(machine.cgroup / "cpu.max", "50000 100000\n")
    machine.write(machine.cgroup / "cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
    machine.write(machine.cgroup / "memory.max", "2000\n")
    machine.write(machine.cgroup / "memory.current", "500\n")
    meter = machine.meter()
    now = 110.0
    machine.write(machine.cgroup / "cpu.stat", "usage_usec 3000000\nuser_usec 1\n")
    load = meter.look()
    assert (load.cpu, load.memory) == (0.4, 0.25)


def test_limits_that_are_none_are_those_of_the_machine(machine: Machine) -> None:
    machine.write(machine.proc / "meminfo", MEMORY)
    machine.write(machine.cgroup / "cpu.max", "max 100000\n")
    machine.write(machine.cgroup / "memory.max", "max\n")
    machine.write(machine.cgroup / "memory.current", "500\n")
    assert machine.meter().look().memory == 0.75


def test_what_the_system_does_not_tell_is_left_out(machine: Machine) -> None:
    load = machine.meter().look()
    assert (load.cpu, load.memory, load.agent_memory) == (None, None, None)
    assert load.agent_cpu is not None


def test_this_very_machine_can_be_looked_at() -> None:
    meter = LoadMeter()
    load = meter.look()
    assert load == Load.model_validate_json(load.model_dump_json())


def report(load: Load | None, in_flight: int = 0) -> Report:
    instance = InstanceReport(service="web", healthy=1, total=1, in_flight=in_flight)
    return Report(instances=[instance], load=load)


@pytest.mark.parametrize(
    ("before", "after", "noticeable"),
    [
        (report(None), report(Load()), False),
        (report(None), report(Load(cpu=0.0)), True),
        (report(Load(cpu=0.5)), report(Load(cpu=0.54)), False),
        (report(Load(cpu=0.5)), report(Load(cpu=0.56)), True),
        (report(Load(memory=0.5)), report(Load(memory=0.44)), True),
        (report(Load(agent_cpu=0.5)), report(Load(agent_cpu=0.9)), False),
        (report(None), report(None, in_flight=1), True),
    ],
)
def test_change_is_worth_a_report_or_not(before: Report, after: Report, noticeable: bool) -> None:
    assert is_noticeable(before, after) is noticeable


def test_report_without_a_load_is_as_good_as_ever() -> None:
    assert Report.model_validate_json('{"instances": []}').load is None
