# SPDX-License-Identifier: Apache-2.0
"""What is logged and traced: nothing by default, and no secrets. The machines have a kernel that does nothing."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import applevz
from applevz import aio
from applevz._core.logs import shown_words
from applevz._host.idle_kernels import idle_kernel
from fixtures import Script

PATIENCE = 120

pytestmark = pytest.mark.skipif(not applevz.capabilities.virtualization, reason="no machine runs here")


@pytest.fixture
def configuration(tmp_path: Path) -> applevz.VirtualMachineConfiguration:
    (tmp_path / "kernel").write_bytes(idle_kernel())
    loader = applevz.LinuxBootLoader(tmp_path / "kernel", command_line="console=hvc0 my.password=sesame")
    return applevz.VirtualMachineConfiguration(loader, memory_size="128MiB")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG, "applevz")
    yield caplog
    caplog.set_level(logging.WARNING, "applevz")
    # Nobody wants it any more, which the next verb finds.
    from applevz._core import logs

    logs.drain()
    assert not logs._is_kept


def messages(log: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == name]


def test_verbs_states_and_what_qemu_is_told_are_logged(
    configuration: applevz.VirtualMachineConfiguration, log: pytest.LogCaptureFixture
) -> None:
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(PATIENCE)
        machine.pause(PATIENCE)
        with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError):
            machine.pause(PATIENCE)
    [number] = re.findall(r"^machine (\d+): start …$", messages(log, "applevz.machine")[0])
    expected = [
        *("start …", r"start, after [\d.]+ ms; RUNNING", "pause …", r"pause, after [\d.]+ ms; PAUSED", "pause …"),
        *(r"pause failed: VZErrorDomain 4: .*, after [\d.]+ ms; PAUSED", "stop …", r"stop, after [\d.]+ ms; STOPPED"),
    ]
    told = messages(log, "applevz.machine")
    assert len(told) == len(expected), told
    for line, pattern in zip(told, expected):
        assert re.fullmatch(f"machine {number}: {pattern}", line), line
    qemu = messages(log, "applevz.qemu")
    [line] = [line for line in qemu if "command line: " in line]
    assert re.search(r"^QEMU \d+: command line: \S*qemu\S* .*-append '?console=hvc0 my\.password=…", line)
    assert "sesame" not in "".join(qemu)
    assert any(re.fullmatch(r'QEMU \d+: sent: \{"execute":"qmp_capabilities".*\}', line) for line in qemu)
    assert any('received: {"QMP"' in line for line in qemu)
    # In the order, and at the time, of what happened.
    times = [record.created for record in log.records if record.name == "applevz.qemu"]
    assert times == sorted(times)


def test_the_awaited_face_logs_the_same(
    configuration: applevz.VirtualMachineConfiguration, log: pytest.LogCaptureFixture
) -> None:
    import asyncio

    async def main() -> None:
        async with aio.VirtualMachine(configuration) as machine:
            await machine.start(PATIENCE)

    asyncio.run(main())
    told = [re.sub(r"machine \d+|[\d.]+ ms", "…", line) for line in messages(log, "applevz.machine")]
    assert told == ["…: start …", "…: start, after …; RUNNING", "…: stop …", "…: stop, after …; STOPPED"]
    assert any("command line: " in line for line in messages(log, "applevz.qemu"))


def test_keys_that_are_typed_are_not_shown(
    configuration: applevz.VirtualMachineConfiguration, log: pytest.LogCaptureFixture
) -> None:
    if not applevz.capabilities.input_events:
        pytest.skip(f"{applevz.capabilities.input_events.reason}")
    configuration.keyboards = [applevz.USBKeyboardConfiguration()]
    with applevz.VirtualMachine(configuration) as machine:
        machine.start(PATIENCE)
        machine.keyboard.type("sesame", timeout=PATIENCE)
        machine.pause(PATIENCE)
    qemu = messages(log, "applevz.qemu")
    assert any(line.endswith("sent: input-send-event (what is typed is not shown)") for line in qemu)
    assert not any('"qcode"' in line or '"key"' in line for line in qemu)


def test_what_a_qemu_says_that_means_harm_is_one_line(
    configuration: applevz.VirtualMachineConfiguration, log: pytest.LogCaptureFixture, script: Script
) -> None:
    script(greeting='{"QMP": {"\\u001b]0;owned\\u0007": "' + "x" * 20_000 + '"}}')
    with applevz.VirtualMachine(configuration) as machine, pytest.raises(applevz.Error):
        machine.start(PATIENCE)
    told = messages(log, "applevz.qemu")
    assert told
    assert all(letter.isprintable() for line in told for letter in line)
    assert max(map(len, told)) < 10_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nbd://user:pass@host:10809/x", "nbd://…@host:10809/x"),
        ("https://token@host/a b@c", "https://…@host/a b@c"),
        ("root=/dev/vda luks.passphrase=abc quiet", "root=/dev/vda luks.passphrase=… quiet"),
        ('{"password": "a b", "id": 1}', '{"password": …, "id": 1}'),
        ("API_TOKEN='x y' rest", "API_TOKEN=… rest"),
        ("two\nlines\x1b[31m", "two\\x0alines\\x1b[31m"),
        ("compass heading: 7", "compass heading: 7"),
    ],
)
def test_secrets_and_control_characters_are_left_out(text: str, shown: str) -> None:
    assert shown_words(text) == shown


def test_nothing_is_imported_printed_or_kept_unless_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(idle_kernel())
    program = f"""
import sys, applevz
loader = applevz.LinuxBootLoader({str(tmp_path / "kernel")!r})
configuration = applevz.VirtualMachineConfiguration(loader, memory_size="128MiB")
with applevz.VirtualMachine(configuration) as machine:
    machine.start(120)
assert not any(name.startswith(("logging", "opentelemetry")) for name in sys.modules), "it was imported"
import logging
with applevz.VirtualMachine(configuration) as machine:
    machine.start(120)
from applevz._core import logs
assert not logs._is_kept
assert logging.getLogger("applevz").handlers
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verbs_are_spans_of_a_program_that_traces(configuration: applevz.VirtualMachineConfiguration) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # A process has one provider.
    trace.set_tracer_provider(provider)
    with trace.get_tracer("test").start_as_current_span("outer"), applevz.VirtualMachine(configuration) as machine:
        machine.start(PATIENCE)
        with pytest.raises(applevz.Error):
            machine.resume(PATIENCE)
    start, resume, stop, outer = exporter.get_finished_spans()
    assert [span.name for span in (start, resume, stop)] == ["applevz start", "applevz resume", "applevz stop"]
    assert all(span.parent.span_id == outer.context.span_id for span in (start, resume, stop))
    assert dict(start.attributes or {})["applevz.machine.state"] == "RUNNING"
    assert start.status.is_ok
    assert not resume.status.is_ok
    kind = dict(resume.events[0].attributes or {})["exception.type"]
    assert str(kind).endswith("InvalidVirtualMachineStateTransitionError")
