# SPDX-License-Identifier: Apache-2.0
"""Kernel command lines are read as the kernel reads them, and what is added to one is what the kernel will find."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import applevz
from fixtures import Boot, MakeMachine
from guest_machine import PATIENCE
from native_programs import programs_of_virtualization
from places import SCRIPTED_QEMU

if sys.platform == "darwin":
    pytest.skip("nothing is added to a command line on macOS", allow_module_level=True)

emulated = pytest.mark.skipif(bool(applevz.capabilities.hardware_acceleration), reason="nothing is added with KVM")

ADDED = ("tsc_early_khz=7", "tsc=reliable", "no-parts")
LONGEST = 2047


@dataclass(frozen=True)
class Word:
    name: bytes
    value: bytes | None = None
    is_open: bool = False


def words_of(line: bytes) -> list[Word]:
    """As the kernel's next_arg() has it (lib/cmdline.c), in terms of Python."""
    words = []
    spaces = b"\t\n\v\f\r \xa0"
    while line := line.lstrip(spaces):
        body = line[1:] if line.startswith(b'"') else line
        quoted = body is not line
        length, inside = 0, quoted
        while length < len(body) and (inside or body[length] not in spaces):
            inside ^= body[length] == ord('"')
            length += 1
        body, line = body[:length], body[length:]
        equals = body.find(b"=", 1)
        name, value = (body[:equals], body[equals + 1 :]) if equals > 0 else (body, None)
        if value is not None and value.startswith(b'"'):
            value = value[1:].removesuffix(b'"')
        elif quoted and value is not None:
            value = value.removesuffix(b'"')
        elif quoted:
            name = name.removesuffix(b'"')
        words.append(Word(name, value, inside))
    return words


def kernels(words: list[Word]) -> list[Word]:
    """Those before the one that ends them."""
    return words[: next((i for i, word in enumerate(words) if (word.name, word.value) == (b"--", None)), len(words))]


@dataclass(frozen=True)
class Read:
    words: list[Word]
    added: str | None = None
    has_rate: bool = False
    needs_pc: bool = False


@pytest.fixture(scope="module")
def read_all() -> Callable[[list[bytes]], list[Read]]:
    programs = programs_of_virtualization()

    def word(text: str) -> Word:
        what, _, is_open = text.partition(" ")
        name, equals, value = what.partition("=")
        return Word(bytes.fromhex(name), bytes.fromhex(value) if equals else None, is_open == "open")

    def run(lines: list[bytes]) -> list[Read]:
        done = programs.run("kernel_command_lines", "address", *(line.hex() for line in lines))
        assert (done.returncode, done.stderr) == (0, "")
        results = []
        for text in done.stdout.split("\0")[:-1]:
            *words, last = text.split("\n")
            added, has_rate, needs_pc = last.split(" ") if last else ("", "0", "0")
            results.append(
                Read(list(map(word, words)), bytes.fromhex(added).decode(), has_rate == "1", needs_pc == "1")
            )
        return results

    return run


@pytest.fixture(scope="module")
def read(read_all: Callable[[list[bytes]], list[Read]]) -> Callable[[str], Read]:
    return lambda line: read_all([line.encode()])[0]


FRAGMENTS = ['"', '"', "=", "--", "-", " ", " ", "\t", "\v", "\f", "\xa0", "à", "†", "\u0800", "a", 'x="', "no_parts"]
HARD = ['"', '""', 'x="', '=""', '"x="a""', '"a="b c', '"--" --', '"--', "--=", "-- ", " --", "à --", '\u0800x="']


def some_lines() -> list[bytes]:
    chance = random.Random(13)  # noqa: S311  # the same lines each time
    lines = [line.encode() for line in HARD]
    for _ in range(2000):
        lines.append("".join(chance.choices(FRAGMENTS, k=chance.randrange(12))).encode())
        lines.append(bytes(chance.choices(b'ab"=- \xa0\t\xc3\x80', k=chance.randrange(10))))
    return lines


def test_a_line_is_taken_apart_as_the_kernel_does(read_all: Callable[[list[bytes]], list[Read]]) -> None:
    lines = some_lines()
    for line, result in zip(lines, read_all(lines), strict=True):
        assert result.words == words_of(line), line


def test_the_kernel_finds_what_is_added_and_all_else_as_it_was(read_all: Callable[[list[bytes]], list[Read]]) -> None:
    def plain(word: Word) -> bytes:
        return word.name.replace(b"-", b"_")

    lines = [line for line in some_lines() if is_text(line)]
    for line, result in zip(lines, read_all(lines), strict=True):
        words, new = words_of(line), words_of(result.added.encode())
        before, after = kernels(words), kernels(new)
        assert new[len(after) :] == words[len(before) :], line
        for word in words_of(" ".join(ADDED).encode()):
            if plain(word) not in map(plain, before):
                assert word in after, line
                after.remove(word)
        assert after == before, line


def is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "{}"),
        ("quiet", "quiet {}"),
        ("quiet ", "quiet {} "),
        ("-- x", "{} -- x"),
        ("quiet -- x", "quiet {} -- x"),
        ("quiet\t--\tx", "quiet {}\t--\tx"),
        ('x="a -- b"', 'x="a -- b" {}'),
        ('x="a -- b" -- c', 'x="a -- b" {} -- c'),
        ('a x="b c', 'a {} x="b c'),
        ('"', '{} "'),
        ("--x", "--x {}"),
        ("--=1", "--=1 {}"),
        ('a "--" b', 'a {} "--" b'),
        ("a\xa0--", "a\xa0 {} --"),
    ],
)
def test_words_are_added_where_the_kernel_looks_for_them(read: Callable[[str], Read], line: str, expected: str) -> None:
    assert read(line).added == expected.format(" ".join(ADDED))
    assert read(line).has_rate


@pytest.mark.parametrize(
    ("line", "has_rate"),
    [
        ("tsc_early_khz=5", True),
        ("tsc-early-khz=5", True),
        ('"tsc_early_khz=5"', True),
        ('tsc_early_khz="5"', True),
        ("tsc_early_khz=0x5", True),
        ("tsc_early_khz=+5", True),
        ("tsc_early_khz=4294967295", True),
        ("tsc_early_khz=0 tsc_early_khz=5", True),
        ("tsc_early_khz=5 tsc_early_khz=x", True),
        ("tsc_early_khz=0", False),
        ("tsc-early-khz=0", False),
        ("tsc_early_khz=5 tsc_early_khz=0", False),
        ("tsc_early_khz", False),
        ("tsc_early_khz=", False),
        ("tsc_early_khz=08", False),
        ("tsc_early_khz=-5", False),
        ("tsc_early_khz=5k", False),
        ("tsc_early_khz=4294967296", False),
        ("tsc_early_khz=18446744073709551617", False),
        ("tsc_early_khz=0x", False),
        # No such parameter: it is added.
        ('x="tsc_early_khz=0 y"', True),
        ("-- tsc_early_khz=0", True),
        ("tsc_early_khzz=0", True),
        # Too long to add to.
        ("x" * LONGEST, False),
        ("tsc_early_khz=5 " + "x" * (LONGEST - 16), True),
        ("x" * (LONGEST - 1 - len(" ".join(ADDED))), True),
    ],
)
def test_a_rate_counts_where_the_kernel_takes_it(read: Callable[[str], Read], line: str, has_rate: bool) -> None:
    assert read(line).has_rate is has_rate


@pytest.mark.parametrize(
    ("line", "needs_pc"),
    [
        ("nolapic", True),
        ("disableapic", True),
        ("nolapic-timer", True),
        ("noapictimer", True),
        ("acpi=off", True),
        ("acpi=noirq", True),
        ("acpi=ht acpi=force", True),
        ("noapic", True),
        ("nosmp", True),
        ("maxcpus=0", True),
        ("maxcpus=00,x", True),
        ("acpi_rsdp=1", True),
        ("clearcpuid=9", True),
        ("pci=noacpi", True),
        ("pci=conf1,noacpi,x", True),
        ("pci=noacpix,,xnoacpi pci= pci acpi=", False),
        ("acpi=strict maxcpus=1 maxcpus= maxcpus nosmpx", False),
        ('x="nolapic acpi=off"', False),
        ("-- nolapic", False),
    ],
)
def test_words_that_take_a_microvms_only_means_away_need_a_pc(
    read: Callable[[str], Read], line: str, needs_pc: bool
) -> None:
    assert read(line).needs_pc is needs_pc


# What a kernel does not know itself it hands to its init: with a value as a variable, without one as an argument.
UNKNOWN = 'zq1=1 "zq2=2 b" zq3="3 c" zq4=4"d e" zq\va\fb\u00e0c "zq six" z"q s"7 zq8="" zq9=" "\u2020zq10=x'


def test_a_real_kernel_takes_a_line_apart_as_is_believed_here(
    read_all: Callable[[list[bytes]], list[Read]], boot: Boot
) -> None:
    guest = boot(words=f'{UNKNOWN} -- zq12 "zq 13" zq14="q"')

    def content(name: str) -> bytes:
        return bytes.fromhex(guest.run(f"hexdump -v -e '/1 \"%02x\"' /proc/{name}"))

    words = read_all([content("cmdline").removesuffix(b"\n")])[0].words
    own = kernels(words)
    known = {b"console", b"quiet", *(word.name for word in words_of(applevz.command_line_additions().encode()))}
    unknown = [word for word in own if word.name not in known]
    assert len(unknown) == 13
    variables = content("1/environ").split(b"\0")
    for word in unknown:
        if word.value is not None:
            assert word.name + b"=" + word.value in variables
    arguments = content("1/cmdline").split(b"\0")[:-1]
    inits = [word.name if word.value is None else word.name + b"=" + word.value for word in words[len(own) + 1 :]]
    assert arguments[-len(inits) :] == inits
    assert [word.name for word in unknown if word.value is None] == arguments[2 : -len(inits)]


@pytest.fixture
def machine_type(machine: MakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """The machine that QEMU is asked for."""
    record = tmp_path / "arguments.json"
    monkeypatch.setenv("APPLEVZ_QEMU", str(SCRIPTED_QEMU))
    monkeypatch.setenv("APPLEVZ_QEMU_SCRIPT", json.dumps({"record": str(record)}))

    def of(words: str, *, additions: bool = True) -> str:
        vm = machine(words=words, command_line_additions=additions)
        vm.start(timeout=PATIENCE)
        vm.shutdown(applevz.ShutdownPolicy.POWEROFF, timeout=PATIENCE)
        arguments: list[str] = json.loads(record.read_text())
        return arguments[arguments.index("-machine") + 1]

    return of


@emulated
def test_a_kernel_that_finds_no_rate_or_must_not_use_what_a_microvm_has_gets_a_pc(
    machine_type: Callable[..., str],
) -> None:
    for words in ("", 'x="a -- b"', 'x="a b', "--\ty", 'x="tsc_early_khz=0 nolapic"'):
        assert machine_type(words).startswith("microvm,"), words
    for words in ("tsc_early_khz=0", "tsc-early-khz=x", "nolapic_timer", "x" * (LONGEST - 40)):
        assert machine_type(words).startswith("q35,"), words[:40]
    # Whoever wants no word added has one whose rate is measured.
    assert machine_type("tsc_early_khz=2000000", additions=False).startswith("q35,")


@emulated
def test_an_emulated_microvm_has_no_controller_whose_first_interrupt_is_taken_for_a_divisions_error(
    machine_type: Callable[..., str],
) -> None:
    assert ",pic=off," in machine_type("")
    assert "pic=" not in machine_type("", additions=False)


@emulated
@pytest.mark.parametrize(
    "words",
    [
        *('x="a -- b"', 'x="a b', "--\ty", "nolapic_timer"),
        # For which a PC is taken as for the one before; a PC's boot takes long.
        *(pytest.param(words, marks=pytest.mark.long) for words in ("noapic", "nosmp", "maxcpus=0", "pci=noacpi")),
    ],
)
def test_guests_come_up_with_words_that_a_wrong_machine_hangs_with(boot: Boot, words: str) -> None:
    assert boot(words=words).run("echo up") == "up"
