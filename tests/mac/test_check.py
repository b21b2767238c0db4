# SPDX-License-Identifier: Apache-2.0
"""`python -m applevz check`: the check list sees what is there, and nothing that an item does stops the next one.

The framework of these tests is this repository's own, whose order of notices is known, or the played Mac, whose order
is what its policy says.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import applevz
import debug_build
import played_mac
from applevz import VirtualMachineState, _check
from applevz.__main__ import main
from applevz._check import report, runner
from applevz._check.item import Item, Options
from applevz._check.machines import kernel_that_does_nothing
from applevz._check.runner import Outcome
from applevz._check.told import error_value, keep_notices, take_notices
from processes import alive, children, eventually

MEBIBYTE = 1 << 20
Report = dict[str, Any]
Whole = tuple[subprocess.CompletedProcess[str], Report]


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "applevz", "check", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=280,
        check=False,
    )


def item_of(data: Report, name: str) -> Report:
    item: Report
    (item,) = (item for item in data["items"] if item["name"] == name)
    return item


def seen_of(data: Report, name: str) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in item_of(data, name)["seen"]}


def chain(error: Any) -> list[tuple[str, int]]:
    return [(link["domain"], link["code"]) for link in error["chain"]]


def told(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["what"], row["state"]) for row in rows]


# ---- Gone through once, with a guest ----


@pytest.fixture(scope="module")
def whole(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The command, with the default guest, and its report as data."""
    path = tmp_path_factory.mktemp("check") / "report.json"
    guest = ["--kernel", str(guest_files / "vmlinux"), "--initrd", str(guest_files / "initrd.cpio.gz")]
    done = command(*guest, "--memory", "256MiB", "--json", str(path))
    return done, json.loads(path.read_text())


@pytest.fixture
def data(whole: Whole) -> Report:
    return whole[1]


def test_every_item_comes_to_its_end_and_is_told_in_markdown_and_as_data(whole: Whole) -> None:
    done, data = whole
    assert done.returncode == 0, done.stderr
    assert [item["name"] for item in data["items"]] == [item.name for item in _check.all_items()]
    for item in data["items"]:
        assert item["outcome"] in ("seen", "left out"), item
        assert item["seen"] or item["outcome"] == "left out"
        assert f"## {item['name']}: {item['title']}" in done.stdout
        assert f"Documented: {item['documented']}" in done.stdout
        assert f"Assumed: {item['assumed']}" in done.stdout
    assert item_of(data, "guest-stop")["outcome"] == item_of(data, "request-stop")["outcome"] == "seen"
    # What it says meanwhile is no part of the report.
    assert f"{len(data['items'])}/{len(data['items'])} " in done.stderr


def test_the_report_fits_into_an_issue(whole: Whole) -> None:
    # Of at most 65536 characters; the rest is left for a Mac's own words.
    assert len(whole[0].stdout) < 48 << 10


def test_each_verb_is_told_in_the_order_of_this_framework(data: Report) -> None:
    # A state is observed before the completion handler is called, in one turn of the queue; the first within the call.
    seen = seen_of(data, "notices")
    orders = {
        "start": ("STOPPED", "STARTING", "RUNNING"),
        "pause": ("RUNNING", "PAUSING", "PAUSED"),
        "resume": ("PAUSED", "RESUMING", "RUNNING"),
        "stop": ("RUNNING", "STOPPING", "STOPPED"),
        "start again": ("STOPPED", "STARTING", "RUNNING"),
        "stop again": ("RUNNING", "STOPPING", "STOPPED"),
    }
    for verb, (before, meanwhile, after) in orders.items():
        rows = seen[f"{verb}: told"]
        assert told(rows) == [
            ("called", before),
            ("observed", meanwhile),
            ("returned", meanwhile),
            ("observed", after),
            ("completed", after),
        ]
        turns = [row["turn"] for row in rows]
        assert turns[:3] == [0, 0, 0]
        assert turns[3] == turns[4] > 0
        assert sorted(row["ms"] for row in rows) == [row["ms"] for row in rows]
        assert seen[verb] == "accepted"
        assert seen[f"{verb}: state then"] == after
    assert chain(seen["pause while stopped"]) == [("VZErrorDomain", 4)]
    refused = [(what, "STOPPED") for what in ("called", "returned", "completed")]
    assert told(seen["pause while stopped: told"]) == refused
    assert seen["pause while stopped: told"][-1]["error"] == "VZErrorDomain 4"


def test_the_last_that_a_guest_prints_is_in_the_pipe_when_its_machine_is_stopped(data: Report) -> None:
    seen = seen_of(data, "guest-stop")
    assert told(seen["the guest stops: told"]) == [("observed", "STOPPED"), ("guest did stop", "STOPPED")]
    assert seen["lines of the guest that are there"] == "200 of 200"
    assert seen["last words of the guest"].endswith("applevz line 200\n")
    assert seen["bytes in the console's pipe at STOPPED"] > 200 * len("applevz line ")
    assert seen["bytes in the console's pipe within a second after it"] == 0
    assert seen["bytes in the console's pipe from the released machine"] == 0


def test_a_guest_that_is_asked_to_stop_stops_and_is_told_in_that_order(data: Report) -> None:
    seen = seen_of(data, "request-stop")
    rows = seen["request_stop: told"] + seen["the guest stops: told"]
    assert told(rows)[:2] == [("called", "RUNNING"), ("completed", "RUNNING")]
    assert told(rows)[-2:] == [("observed", "STOPPED"), ("guest did stop", "STOPPED")]
    assert seen["state then"] == "STOPPED"


def test_errors_of_files_are_seen_with_their_whole_chain(data: Report) -> None:
    seen = seen_of(data, "refused-files")
    configuration, image, posix = ("VZErrorDomain", 2), ("VZErrorDomain", 5), ("NSPOSIXErrorDomain", 2)
    for key, domain in (
        ("a kernel that is missing", configuration),
        ("an initial RAM disk that is missing", configuration),
        ("a disk image that is missing", image),
    ):
        assert chain(seen[key]) == [domain, posix]
        assert seen[key]["errno"] == 2
        assert "FileNotFoundError" in seen[key]["exception"]
        assert "NSUnderlyingError" in seen[key]["chain"][0]["keys"]
    assert "InvalidDiskImageError" in seen["a disk image of 600 bytes"]["exception"]
    # Root may read everything, and every other case is refused.
    for kind in ("a kernel", "an initial RAM disk", "a disk image", "a variable store"):
        assert "IsADirectoryError" in seen[f"{kind} that is a folder"]["exception"]
        assert "ValueError" in seen[f"{kind} that is empty"]["exception"]
    assert "a serial port's file in a folder that is missing: the framework itself" in seen
    # What the framework says of an attachment knows nothing of the field that it is for.
    own = seen["a disk image that is missing: the framework itself"]
    assert chain(own) == [image, posix]
    assert "storage_devices" not in own["chain"][0]["description"]


def test_files_that_are_in_the_way_are_seen(data: Report) -> None:
    seen = seen_of(data, "variable-stores")
    assert seen["a new store"] == seen["the same, in place of it"] == "accepted"
    assert "FileExistsError" in seen["a store that exists"]["exception"]
    seen = seen_of(data, "saving")
    assert seen["save"] == seen["save in place of it"] == seen["restore"] == seen["resume"] == "accepted"
    assert "FileExistsError" in seen["save to a file that exists"]["exception"]
    assert chain(seen["save to a file that exists"]) == [("VZErrorDomain", 11), ("NSPOSIXErrorDomain", 17)]
    assert "FileNotFoundError" in seen["restore of a missing file"]["exception"]
    assert seen["restore of another file: state then"] == "STOPPED"
    assert told(seen["save: told"])[1] == ("observed", "SAVING")
    assert seen["files that are left"] == ["second", "state"]


def test_a_start_that_fails_is_seen_with_its_error(data: Report) -> None:
    seen = seen_of(data, "failing-start")
    for file in ("a kernel", "a RAM disk"):
        gone = f"{file} that is gone since the machine was made: start"
        assert "FileNotFoundError" in seen[gone]["exception"]
        assert told(seen[f"{gone}: told"])[-1] == ("completed", "STOPPED")
        assert seen[f"{gone}: told"][-1]["error"] == "VZErrorDomain 2"


def test_descriptors_are_seen_as_the_system_has_them(data: Report) -> None:
    reading, writing = os.pipe()
    try:
        size = fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ)
    finally:
        os.close(reading)
        os.close(writing)
    assert seen_of(data, "pipes")["bytes in pieces of 4096"] == f"{size}, then EAGAIN"
    assert seen_of(data, "shared-descriptors") == {
        "a pipe: O_NONBLOCK set on a copy (dup) is seen on the original": True,
        "a socket: O_NONBLOCK set on a copy (dup) is seen on the original": True,
        "a socket: it is seen on the other end": False,
    }
    given = seen_of(data, "given-descriptors")
    assert given["before: descriptors with O_NONBLOCK"] == given["made: descriptors with O_NONBLOCK"] == []
    # QEMU sets it on what it polls: ours are the other ends.
    assert given["started: descriptors with O_NONBLOCK"] == ["the network"]


def test_a_forked_child_is_seen_to_live(data: Report) -> None:
    seen = seen_of(data, "fork")
    assert seen["a forked child that uses a machine"] == "ForkedError"
    assert seen["a forked child that asks for a capability"] == "ForkedError"
    assert seen["a forked child that drops a machine"] == "It goes on."
    assert seen["the machine of the parent"] == "STOPPED"


def test_every_capability_is_seen_and_why_not(data: Report) -> None:
    seen = seen_of(data, "library")
    assert seen["applevz"] == applevz.__version__
    names = [name for name, value in vars(applevz.Capabilities).items() if isinstance(value, property)]
    assert "virtualization" in names
    for name in names:
        capability = getattr(applevz.capabilities, name)
        assert seen[name] == ("yes" if capability else f"no: {capability.reason}")
    limits = applevz.limits()
    assert seen["processors of a machine"] == f"{limits.minimum_cpu_count} to {limits.maximum_cpu_count}"
    assert seen["bytes of memory of a machine"] == f"{limits.minimum_memory_size} to {limits.maximum_memory_size}"


def test_what_validation_says_of_each_configuration_is_seen(data: Report) -> None:
    seen = seen_of(data, "validation")
    for words in ("a kernel and a console", "a network card with NAT", "entropy", "a memory balloon"):
        assert seen[words] == "accepted", words
    for words in ("a machine without a boot loader", "too little memory", "too many processors"):
        assert chain(seen[words]) == [("VZErrorDomain", 2)], words
        assert "ValueError" in seen[words]["exception"]
    for words, capability in (("EFI firmware", "efi"), ("sockets", "sockets")):
        assert (seen[words] == "accepted") is bool(getattr(applevz.capabilities, capability)), words
    assert seen["bridged interfaces"] == len(applevz.bridged_network_interfaces())


@pytest.mark.skipif(not applevz.capabilities.efi, reason="there is no EFI firmware")
def test_firmware_that_finds_nothing_to_boot_is_seen_to_run_on(data: Report) -> None:
    seen = seen_of(data, "firmware")
    assert seen["what runs"] == "EFI firmware"
    assert told(seen["start: told"])[-2:] == [("observed", "RUNNING"), ("completed", "RUNNING")]
    assert "TimeoutError" in seen["it stops by itself within 5 s"]["exception"]
    assert seen["meanwhile: told"] == []
    assert told(seen["stop: told"])[-1] == ("completed", "STOPPED")


def test_datagrams_are_seen_to_fit_as_the_system_lets_them(data: Report) -> None:
    seen = seen_of(data, "sockets")
    most = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        assert seen["as they are made: SO_RCVBUF"] == made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    # Linux tells twice what was asked for.
    assert seen["to be 1 and 4 MiB: SO_RCVBUF"] == 2 * min(4 << 20, most)
    for size in (1514, 9014, 65549):
        counts = {}
        for words in ("as they are made", "to be 1 and 4 MiB"):
            shown = seen[f"{words}: datagrams of {size} bytes"]
            found = re.fullmatch(r"(\d+), then EAGAIN; (\d+) received", shown)
            assert found is not None, shown
            assert found[1] == found[2]
            counts[words] = int(found[1])
        assert 0 < counts["as they are made"] <= counts["to be 1 and 4 MiB"]


def test_without_a_kernel_what_needs_a_guest_is_left_out_and_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = command("--only", "guest-stop", "--only", "umlauts", "--json", str(path))
    data = json.loads(path.read_text())
    assert done.returncode == 0
    assert item_of(data, "umlauts")["outcome"] == "seen"
    left_out = item_of(data, "guest-stop")
    assert left_out["outcome"] == "left out"
    assert "--kernel" in left_out["detail"]
    assert f"**Left out.** {left_out['detail']}" in done.stdout


def test_a_guest_that_asks_is_answered_and_one_that_does_not_come_is_left_out(
    guest_files: Path, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    guest = ["--kernel", str(guest_files / "vmlinux"), "--initrd", str(guest_files / "initrd.cpio.gz")]
    options = ["--memory", "256MiB", "--only", "request-stop", "--json", str(path)]
    done = command(*guest, *options, "--answer", "guest# ", "echo log''ged in", "--ready", "logged in")
    assert done.returncode == 0
    assert seen_of(json.loads(path.read_text()), "request-stop")["state then"] == "STOPPED"
    done = command(*guest, *options, "--ready", "never shown", "--timeout", "0.5")
    assert done.returncode == 0
    assert "did not show 'never shown'" in item_of(json.loads(path.read_text()), "request-stop")["detail"]


# ---- In the order of others' frameworks ----


NOTICES = """
import json, sys
from applevz._check import life, machines
from applevz._check.item import Options, Seen
life.PATIENCE = machines.PATIENCE = float(sys.argv[2])
life._notices(Seen(1), Options(folder=sys.argv[1]))
"""


def played(folder: Path, patience: float = 60.0, **policy: Any) -> dict[str, Any]:
    """What the item for the order sees on a Mac with that policy."""
    done = played_mac.run(NOTICES, str(folder), str(patience), policy=policy)
    assert done.returncode == 0, done.stdout + done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return {message["key"]: message["value"] for message in messages}


@pytest.mark.parametrize(
    ("policy", "order"),
    [
        ({"observation": "early"}, ["observed", "completed"]),
        ({"observation": "late"}, ["completed", "observed"]),
        ({"completion": "late"}, ["observed", "completed"]),
        ({"completion": "twice late"}, ["observed", "completed"]),
        ({"completion": "twice"}, ["observed", "completed", "completed"]),
        ({"state": "late"}, ["completed", "observed"]),
    ],
)
def test_the_order_that_is_seen_is_the_order_that_a_framework_plays(
    tmp_path: Path, policy: dict[str, Any], order: list[Any]
) -> None:
    seen = played(tmp_path, **policy)
    for verb, meanwhile, after in (
        ("start", "STARTING", "RUNNING"),
        ("pause", "PAUSING", "PAUSED"),
        ("resume", "RESUMING", "RUNNING"),
        ("stop", "STOPPING", "STOPPED"),
    ):
        rows = seen[f"{verb}: told"][-len(order) :]
        assert [row["what"] for row in rows] == order
        # The framework's own state is the new one when the first of them comes, unless it is played as late.
        assert rows[0]["state"] == (meanwhile if "state" in policy else after)
        assert rows[-1]["state"] == after
        # What tells a late observer is on the queue before anything that the completion handler puts there, and may be
        # behind what an earlier notice had put there: the turns of those two are the same, or not.
        if policy != {"observation": "late"}:
            assert rows[-1]["turn"] > rows[0]["turn"]
        assert seen[f"{verb}: state then"] == after


GUEST_STOP = """
import sys
from applevz._check import life
from applevz._check.item import Options, Seen
life._guest_stop(Seen(1), Options(folder=sys.argv[1], kernel=sys.argv[2], initrd=sys.argv[3], memory="256MiB"))
"""


@pytest.mark.parametrize(
    ("delegate", "order"),
    [
        ("early", [("guest did stop", "RUNNING"), ("observed", "STOPPED")]),
        ("late", [("observed", "STOPPED"), ("guest did stop", "STOPPED")]),
    ],
)
def test_the_delegate_is_seen_where_it_is_played(
    guest_files: Path, tmp_path: Path, delegate: str, order: list[Any]
) -> None:
    files = [str(guest_files / name) for name in ("vmlinux", "initrd.cpio.gz")]
    done = played_mac.run(GUEST_STOP, str(tmp_path), *files, policy={"delegate": delegate})
    assert done.returncode == 0, done.stdout + done.stderr
    seen = {message["key"]: message["value"] for message in map(json.loads, done.stdout.splitlines())}
    assert told(seen["the guest stops: told"]) == order


REFUSALS = """
import sys
from applevz._check import files
from applevz._check.item import Options, Seen
for function in (files._refused_files, files._variable_stores):
    folder = sys.argv[1] + "/" + function.__name__
    __import__("os").mkdir(folder)
    function(Seen(1), Options(folder=folder))
"""


@pytest.mark.parametrize(
    ("refusal", "image", "store"),
    [
        ("not supported", [("NSPOSIXErrorDomain", errno.ENOTSUP)], [("NSPOSIXErrorDomain", errno.ENOTSUP)]),
        ("Cocoa", [("NSCocoaErrorDomain", 260)], [("NSCocoaErrorDomain", 516)]),
    ],
)
def test_what_the_framework_itself_says_is_seen_whatever_is_made_of_it(
    tmp_path: Path, refusal: str, image: list[tuple[str, int]], store: list[tuple[str, int]]
) -> None:
    done = played_mac.run(REFUSALS, str(tmp_path), policy={"refusal": refusal})
    assert done.returncode == 0, done.stdout + done.stderr
    seen = {message["key"]: message["value"] for message in map(json.loads, done.stdout.splitlines())}
    for kind in ("a kernel", "a disk image"):
        assert "FileNotFoundError" in seen[f"{kind} that is missing"]["exception"]
        assert chain(seen[f"{kind} that is missing: the framework itself"]) == image
    assert "FileExistsError" in seen["a store that exists"]["exception"]
    assert chain(seen["a store that exists: the framework itself"]) == store


SAVING = """
import sys
from applevz._check import life
from applevz._check.item import Options, Seen
life._saving(Seen(1), Options(folder=sys.argv[1], memory="64MiB"))
"""


@pytest.mark.parametrize(
    ("policy", "verb", "told_by_the_framework"),
    [
        (
            {"saving": "half", "saving cause": {"domain": "NSCocoaErrorDomain", "code": 640}},
            "save",
            [("VZErrorDomain", 11), ("NSCocoaErrorDomain", 640)],
        ),
        ({"refusal": "Cocoa"}, "restore of another file", [("NSCocoaErrorDomain", 256)]),
    ],
)
def test_what_the_framework_says_of_saved_states_is_seen(
    tmp_path: Path, policy: dict[str, Any], verb: str, told_by_the_framework: list[tuple[str, int]]
) -> None:
    done = played_mac.run(SAVING, str(tmp_path), policy=policy)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = {message["key"]: message["value"] for message in map(json.loads, done.stdout.splitlines())}
    assert chain(seen[f"{verb}: the framework itself"]) == told_by_the_framework


def test_a_completion_that_never_comes_is_seen_as_none(tmp_path: Path) -> None:
    seen = played(tmp_path, patience=1.0, completion="never")
    assert "TimeoutError" in seen["start"]["exception"]
    assert [what for what, _ in told(seen["start: told"])] == ["called", "observed", "returned", "observed"]


# ---- Whatever an item does ----


HOSTILE = """
import faulthandler, os, signal, subprocess, sys, time
from applevz._check.item import Item, LeftOut


def well(seen, options):
    seen("folder", sorted(os.listdir(options.folder)))
    seen("names", ["half a pair: \\udcff", "two\\nlines", "```"])


def raises(seen, options):
    seen("before", 1)
    raise ValueError("a reason")


def leaves_out(seen, options):
    raise LeftOut("a thing is missing")


def exits(seen, options):
    sys.exit("out of here")


def disappears(seen, options):
    seen("before", 1)
    os._exit(0)


def hangs(seen, options):
    seen("before", 1)
    with open(os.path.join(os.path.dirname(__file__), "hanging"), "w") as file:
        file.write(str(os.getpid()))
    wait_for_ever()


def wait_for_ever():
    while True:
        time.sleep(60)


def ignores(seen, options):
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    wait_for_ever()


def crashes(seen, options):
    seen("before", 1)
    os.kill(os.getpid(), signal.SIGSEGV)


def traps(seen, options):
    os.kill(os.getpid(), signal.SIGTRAP)


def crashes_at_its_end(seen, options):
    import atexit
    atexit.register(os.abort)
    seen("before", 1)


def leaves_a_child(seen, options):
    program = "import time; time.sleep(120)"
    child = subprocess.Popen([sys.executable, "-c", program], pass_fds=[seen._descriptor])
    seen("child", child.pid)


def prints(seen, options):
    print("x" * (1 << 22))
    print("the last line")


def tells_for_ever(seen, options):
    while True:
        seen("again", "x" * 4096)


def interrupts(seen, options):
    with open(os.path.join(os.path.dirname(__file__), "interrupting"), "w") as file:
        file.write(str(os.getpid()))
    os.kill(os.getppid(), signal.SIGINT)
    wait_for_ever()


ITEMS = [
    Item(name, "title", "documented", "assumed", function, seconds=2.0 if name in ("hangs", "ignores") else 60.0)
    for name, function in list(globals().items())
    if getattr(function, "__module__", None) == __name__ and name != "wait_for_ever"
]
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Outcome]]:
    """Runs an item of a module of such items, as the command does."""
    (tmp_path / "hostile_items.py").write_text(HOSTILE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("hostile_items", None)
    import hostile_items  # type: ignore[import-not-found]

    items: dict[str, Item] = {item.name: item for item in hostile_items.ITEMS}
    yield lambda name: runner.run(items[name], Options())
    sys.modules.pop("hostile_items", None)


@pytest.mark.parametrize(
    ("name", "outcome", "detail"),
    [
        ("raises", "raised", "ValueError: a reason"),
        ("leaves_out", "left out", "a thing is missing"),
        ("exits", "raised", "SystemExit: out of here"),
        ("disappears", "was ended", "exit with 0"),
        ("hangs", "did not end", "It was killed, after 2 s."),
        ("ignores", "did not end", "It was killed, after 2 s."),
        ("crashes", "was ended", "SIGSEGV"),
        ("traps", "was ended", "SIGTRAP"),
        ("crashes_at_its_end", "was ended", "SIGABRT"),
    ],
)
def test_an_item_that_does_not_come_to_its_end_is_told_as_that(
    hostile: Callable[[str], Outcome], name: str, outcome: str, detail: str
) -> None:
    became = hostile(name)
    assert became.outcome == outcome
    assert detail in became.detail
    assert became.came_to_its_end is (outcome == "left out")
    if name in ("raises", "disappears", "hangs", "crashes", "crashes_at_its_end"):
        # What it had seen is there.
        assert became.seen == [("before", 1)]
    # … and the next one runs.
    assert hostile("well").outcome == "seen"


@pytest.mark.parametrize("name", ["hangs", "crashes", "traps"])
def test_an_item_that_hangs_or_crashes_shows_where(hostile: Callable[[str], Outcome], name: str) -> None:
    place = "wait_for_ever" if name == "hangs" else name
    assert f"in {place}" in hostile(name).output


def test_nothing_of_an_item_that_hangs_is_left(hostile: Callable[[str], Outcome], tmp_path: Path) -> None:
    hostile("hangs")
    assert not alive(int((tmp_path / "hanging").read_text()))


def test_a_process_that_an_item_leaves_behind_is_not_waited_for(hostile: Callable[[str], Outcome]) -> None:
    became = hostile("leaves_a_child")
    child: Any
    ((_, child),) = became.seen
    assert became.outcome == "seen"
    assert alive(child)
    os.kill(child, signal.SIGKILL)


def test_of_what_an_item_prints_the_end_is_kept(hostile: Callable[[str], Outcome]) -> None:
    became = hostile("prints")
    assert became.outcome == "seen"
    assert became.output.endswith("the last line\n")
    assert len(became.output) < 1 << 14


def test_an_item_that_tells_for_ever_is_ended_when_it_has_told_enough(hostile: Callable[[str], Outcome]) -> None:
    became = hostile("tells_for_ever")
    assert (became.outcome, became.detail) == ("did not end", "It was killed, having told too much.")
    assert sum(len(str(value)) for _, value in became.seen) < 1 << 24


def test_ctrl_c_ends_the_item_with_the_wait_for_it(hostile: Callable[[str], Outcome], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        hostile("interrupts")
    assert not alive(int((tmp_path / "interrupting").read_text()))


def test_an_interrupted_list_ends_with_what_it_has_seen(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    words = [sys.executable, "-m", "applevz", "check", "--only", "umlauts", "--only", "firmware", "--json", str(path)]
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{begin}; import sys; from applevz.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words[1:3] = ["-c", program]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("2/2"):
        pass
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "## umlauts: " in output
    assert "## firmware: " not in output
    assert [item["name"] for item in json.loads(path.read_text())["items"]] == ["umlauts"]


# ---- The report ----


def test_text_of_any_kind_stays_within_its_block(hostile: Callable[[str], Outcome]) -> None:
    data = report.as_data([hostile("well")], "1", report.Private())
    lines = report.as_markdown(data).splitlines()
    fences = [line for line in lines if line.startswith("````")]
    assert fences == ["````text", "````"]
    inside = lines[lines.index("````text") + 1 : lines.index("````")]
    assert inside == ["folder: none", "names: half a pair: \udcff, two", "  lines, ```"]
    assert json.loads(json.dumps(data)) == data


def test_the_status_tells_whether_every_item_came_to_its_end(
    hostile: Callable[[str], Outcome], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import hostile_items

    items = {item.name: item for item in hostile_items.ITEMS}
    for names, status in ((["well", "leaves_out"], 0), (["raises", "well"], 1), (["crashes"], 1)):
        monkeypatch.setattr(_check, "all_items", lambda names=names: [items[name] for name in names])
        assert main(["check"]) == status
        shown = capsys.readouterr().out
        assert all(f"## {name}: title" in shown for name in names)


def test_nobodys_name_host_or_home_is_in_a_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pwd
    import tempfile

    entry = pwd.struct_passwd(("jdoe", "", 501, 20, "Jane Doe,,,", "/Users/jdoe/", "/bin/zsh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    monkeypatch.setattr(socket, "gethostname", lambda: "Janes-Mac.fritz.box")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/var/folders/x1/abc/T")
    for name in ("HOME", "USER", "LOGNAME"):
        monkeypatch.setenv(name, {"HOME": "/Volumes/work/"}.get(name, "jdoe"))
    private = report.Private()
    shown = {
        "/Users/jdoe/applevz/.venv/bin/python": "~/applevz/.venv/bin/python",
        'URL is "/Users/jdoe".': 'URL is "~".',
        "/Volumes/work/applevz": "~/applevz",
        "/Users/jdoe.old/x /Users/jdoes": "/Users/<user>.old/x /Users/jdoes",
        "/Volumes/jdoe/x": "/Volumes/<user>/x",
        "Authority=Jane Doe (AB12)": "Authority=<user> (AB12)",
        "Janes-Mac.fritz.box, janes-mac.local": "<host>, <host>.local",
        "/var/folders/x1/abc/T/applevz-check-a_1b/missing": "<temporary>/missing",
        "/var/folders/x1/abc/T/other": "<temporary>/other",
        "a jdoester, ajdoe": "a jdoester, ajdoe",
    }
    assert {text: private.text(text) for text in shown} == shown
    assert private.value({"jdoe": ["jdoe", 1, None, True, {"a": "jdoe"}]}) == {
        "<user>": ["<user>", 1, None, True, {"a": "<user>"}]
    }


def test_a_home_that_is_the_root_and_a_user_without_an_entry_hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def no_entry(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    for name in ("USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/")
    assert report.Private().text("/usr/bin, root") == "/usr/bin, root"


# ---- A Mac's own programs, played ----


CODESIGN = """#!/bin/sh
for last; do :; done
case "$*" in
*--display*--entitlements*)
    echo '<?xml version="1.0"?><plist version="1.0"><dict>'
    echo '<key>com.apple.security.virtualization</key><true/><key>a.group</key><string>secret</string>'
    echo '</dict></plist>' ;;
*--display*)
    echo "Executable=$last
Identifier=python3
CodeDirectory v=20400 size=1 flags=0x10002(adhoc,runtime)
Authority=Jane Doe
TeamIdentifier=AB12" >&2 ;;
*--sign*)
    grep -q vm.networking "${last%/*}/entitlements.plist" && printf '#!/bin/sh\\nkill -9 $$\\n' > "$last"
    exit 0 ;;
esac
"""
PROGRAMS = {
    "codesign": CODESIGN,
    "sw_vers": "#!/bin/sh\necho 'ProductName: macOS'\necho 'ProductVersion: 26.1'\necho 'BuildVersion: 25B78'\n",
    "sysctl": "#!/bin/sh\ncase $2 in sysctl.proc_translated) echo 1;; hw.model) echo Mac15,3;; *) exit 1;; esac\n",
}


@pytest.fixture
def macs_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in PROGRAMS.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    # No other Pythons than this one.
    monkeypatch.setenv("HOME", str(tmp_path))


def go_through(name: str) -> dict[str, Any]:
    (item,) = (item for item in _check.all_items() if item.name == name)
    outcome = runner.run(item, Options())
    assert outcome.outcome == "seen", outcome
    return dict(outcome.seen)


def test_the_hosts_system_and_rosetta_are_told_from_what_its_programs_say(macs_programs: None) -> None:
    seen = go_through("host")
    assert seen["macOS"] == "macOS 26.1 25B78"
    assert seen["this Python runs by Rosetta"] == "yes"
    assert seen["hw.model"] == "Mac15,3"
    assert "kern.hv_support" not in seen


def test_a_pythons_signature_is_told_without_its_signer(macs_programs: None) -> None:
    seen = go_through("python")
    assert seen["signature"] == [
        "Identifier=python3",
        "CodeDirectory v=20400 size=1 flags=0x10002(adhoc,runtime)",
        "TeamIdentifier is set",
    ]
    assert seen["entitlements"] == {"com.apple.security.virtualization": True, "a.group": "…"}
    assert seen["runs"] == seen["what `make sign` would sign"] == os.path.realpath("/proc/self/exe")


def test_what_becomes_of_a_python_that_is_signed_is_seen_on_a_copy(macs_programs: None) -> None:
    before = Path("/proc/self/exe").stat()
    seen = go_through("pythons")["this one"]
    assert seen["a copy with com.apple.security.virtualization"] == "It is signed, and runs."
    assert seen["a copy with com.apple.vm.networking"]["it"] == "It is signed, and is killed by signal 9."
    after = Path("/proc/self/exe").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


# ---- What it is made of ----


def test_a_kernel_that_does_nothing_runs_and_says_nothing(tmp_path: Path) -> None:
    loader = applevz.LinuxBootLoader(kernel_that_does_nothing(tmp_path / "loop"))
    with applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader, memory_size="64MiB")) as machine:
        machine.start(timeout=60)
        with pytest.raises(applevz.TimeoutError):
            machine.console.read(timeout=0.2)
        assert machine.state is VirtualMachineState.RUNNING


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="there is no QEMU for x86")
def test_a_kernel_that_does_nothing_is_at_its_first_instruction_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor that found anything else there would go on, to whatever is in memory."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    kernel = kernel_that_does_nothing(tmp_path / "loop")
    words = ["-machine", "q35", "-m", "64", "-display", "none", "-nodefaults", "-kernel", str(kernel)]
    with subprocess.Popen(
        ["qemu-system-x86_64", *words, "-monitor", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        commands, answers = qemu.stdin, qemu.stdout

        def until_prompt() -> str:
            shown = ""
            while not shown.endswith("(qemu) "):
                byte = answers.read(1)
                assert byte, shown
                shown += byte
            return shown

        def place() -> tuple[int, int]:
            """The segment and the offset of the next instruction."""
            commands.write("info registers\n")
            commands.flush()
            shown = until_prompt()
            found = re.search(r"[ER]IP=([0-9a-f]+).*^CS =[0-9a-f]+ ([0-9a-f]+)", shown, re.MULTILINE | re.DOTALL)
            assert found is not None, shown
            return int(found[2], 16), int(found[1], 16)

        try:
            until_prompt()
            # Where QEMU puts the sector with the first instruction of a real mode kernel.
            entry = (0x10200, 0)
            assert eventually(lambda: place()[0] == entry[0])
            assert [place() for _ in range(20)] == [entry] * 20
        finally:
            qemu.kill()


def test_each_processor_has_a_kernel_that_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    image = kernel_that_does_nothing(tmp_path / "Image")
    # An arm64 processor runs the file's first word, which branches to itself.
    assert image.read_bytes()[:4] == bytes([0, 0, 0, 0x14])
    with pytest.raises(applevz.InvalidVirtualMachineConfigurationError, match="arm64"):
        applevz.VirtualMachineConfiguration(applevz.LinuxBootLoader(image)).validate()


def test_of_a_machines_notices_the_youngest_are_kept_with_their_numbers(tmp_path: Path) -> None:
    loader = applevz.LinuxBootLoader(kernel_that_does_nothing(tmp_path / "loop"))
    with applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader)) as machine:
        assert take_notices(machine) == []
        keep_notices(machine)
        calls = 400
        for _ in range(calls):
            with pytest.raises(applevz.InvalidVirtualMachineStateTransitionError):
                machine.pause()
        notices = take_notices(machine)
        # Each call is told of three times.
        assert len(notices) == 1024
        assert notices[-1].call == calls
        assert [notice.what for notice in notices[-3:]] == ["called", "returned", "completed"]
        assert all(notice.on_queue for notice in notices)
        assert take_notices(machine) == []


def test_what_notices_hold_is_given_back_whether_they_are_taken_or_not(tmp_path: Path) -> None:
    program = """
import gc, sys
import applevz
from applevz._check.told import keep_notices, take_notices
from applevz._native import ffi, lib

loader = applevz.LinuxBootLoader(sys.argv[1])
for _ in range(3):
    machine = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader))
    keep_notices(machine)
    for _ in range(3):
        try:
            machine.pause()
        except applevz.Error:
            pass
    taken = take_notices(machine)[:4]
    machine.wait(applevz.VirtualMachineState.STOPPED)
    del machine, taken
gc.collect()
made, destroyed = ffi.new("uint64_t *"), ffi.new("uint64_t *")
assert lib.applevz_debug_error_counts(made, destroyed)
print(made[0] - destroyed[0], made[0] >= 9, lib.applevz_debug_live_handles())
"""
    done = debug_build.run(program, str(kernel_that_does_nothing(tmp_path / "loop")))
    assert done.stdout.split() == ["0", "True", "0"], done.stdout + done.stderr


def test_a_machine_whose_notices_are_kept_ends_with_its_last_reference(tmp_path: Path) -> None:
    before = children()
    loader = applevz.LinuxBootLoader(kernel_that_does_nothing(tmp_path / "loop"))
    machine = applevz.VirtualMachine(applevz.VirtualMachineConfiguration(loader))
    keep_notices(machine)
    machine.start(timeout=60)
    assert children() > before
    del machine
    assert eventually(lambda: children() <= before)


def test_an_error_that_is_no_machines_is_told_by_its_words() -> None:
    assert error_value(OSError(5, "a reason")) == "OSError: [Errno 5] a reason"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "no-such-item"], "no item 'no-such-item'"),
        (["--kernel", "/nowhere/vmlinux"], "--kernel /nowhere/vmlinux is no file"),
        (["--initrd", "/nowhere/initrd"], "--initrd /nowhere/initrd is no file"),
        (["--json", "/nowhere/report.json"], "/nowhere/report.json cannot be written: No such file or directory"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_gone_through(words: list[str], said: str) -> None:
    done = command(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_the_list_names_every_item() -> None:
    done = command("--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [item.name for item in _check.all_items()]


def test_a_report_that_cannot_be_encoded_is_shown_all_the_same(tmp_path: Path) -> None:
    done = command("--only", "umlauts", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "U\\u0308berpru\\u0308fung.img" in done.stdout
