# SPDX-License-Identifier: Apache-2.0
"""`python -m applevz guest-agent`: the agent as a service of a system in a folder, which may mean harm."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import applevz
import applevz.__main__
from applevz._host.guest_agent import agent_program
from applevz._host.guest_services import OPENRC, PROGRAM, SYSTEMD, Service, install

pytestmark = pytest.mark.skipif(not applevz.capabilities.guest_agent, reason="this package was built without the agent")

SERVICES = {"usr/lib/systemd/systemd": SYSTEMD, "sbin/openrc-run": OPENRC}


@pytest.fixture(params=SERVICES)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Service]:
    """A root with an init system, for the agent's processor."""
    root = tmp_path / "root"
    sign = root / request.param
    sign.parent.mkdir(parents=True)
    sign.write_bytes(agent_program()[:64])
    return root, SERVICES[request.param]


def contents(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """All below the folder, with modes, and what links say."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        link = os.readlink(path) if path.is_symlink() else None
        data = link if link is not None else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = stat.S_IMODE(status.st_mode), data
    return found


def test_the_agent_and_its_service_are_put_there_once(system: tuple[Path, Service]) -> None:
    root, service = system
    previous = os.umask(0o077)
    try:
        assert install(root) == [f"/{PROGRAM}", f"/{service.path}", f"/{service.link}"]
    finally:
        os.umask(previous)
    made = contents(root)
    assert made[PROGRAM] == (0o755, agent_program())
    assert made[service.path] == (service.mode, service.text.encode())
    assert made[service.link][1] == f"/{service.path}"
    assert all(made[str(folder)][0] == 0o755 for folder in Path(service.link).parents if str(folder) != ".")
    before = (root / PROGRAM).stat().st_mtime_ns
    assert install(root) == []
    assert contents(root) == made
    assert (root / PROGRAM).stat().st_mtime_ns == before

    # What became another one is made right, and nothing is left beside it.
    (root / service.path).write_text("old")
    (root / PROGRAM).chmod(0o700)
    assert install(root) == [f"/{PROGRAM}", f"/{service.path}"]
    assert contents(root) == made


def test_links_lead_where_they_do_once_the_folder_is_the_root(system: tuple[Path, Service], tmp_path: Path) -> None:
    root, service = system
    outside = tmp_path / "outside"
    outside.mkdir()
    # Absolute, upwards, and in a circle of two.
    (root / "usr").mkdir(exist_ok=True)
    (root / "usr/local").symlink_to("/../../opt")
    (root / "opt/sbin").mkdir(parents=True)
    (root / "etc").symlink_to("../../../../real-etc")
    (root / "real-etc").mkdir()
    changed = install(root)
    assert changed == ["/opt/sbin/applevz-agent", f"/real-{service.path}", f"/real-{service.link}"]
    assert (root / "opt/sbin/applevz-agent").read_bytes() == agent_program()
    assert os.listdir(outside) == []
    assert sorted(os.listdir(tmp_path)) == ["outside", "root"]


def test_no_file_outside_is_written_through_a_link(system: tuple[Path, Service], tmp_path: Path) -> None:
    root, service = system
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (PROGRAM, service.path, service.link):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(victim)
    install(root)
    assert victim.read_text() == "mine"
    assert not (root / PROGRAM).is_symlink()
    assert (root / service.link).readlink() == Path(f"/{service.path}")


def test_a_link_to_a_folder_outside_is_one_inside(system: tuple[Path, Service], tmp_path: Path) -> None:
    root, _ = system
    (root / "usr").mkdir(exist_ok=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "usr/local").symlink_to(tmp_path / "elsewhere")
    changed = install(root)
    assert changed[0] == f"{tmp_path}/elsewhere/sbin/applevz-agent"
    assert (root / changed[0].lstrip("/")).read_bytes() == agent_program()
    assert os.listdir(tmp_path / "elsewhere") == []


def test_links_in_a_circle_are_an_error(system: tuple[Path, Service]) -> None:
    root, _ = system
    (root / "usr").mkdir(exist_ok=True)
    (root / "usr/local").symlink_to("other")
    (root / "usr/other").symlink_to("local")
    with pytest.raises(applevz.POSIXError, match="usr/local/sbin"):
        install(root)


def test_a_root_of_another_processor_or_without_an_init_is_refused_in_words(
    system: tuple[Path, Service], tmp_path: Path
) -> None:
    root, service = system
    sign = next(name for name, value in SERVICES.items() if value is service)
    program = bytearray(agent_program()[:64])
    program[18:20] = (243).to_bytes(2, "little")
    (root / sign).write_bytes(program)
    before = contents(root)
    words = rf"is for RISC-V\. /{sign} is\. .* installed for that"
    with pytest.raises(applevz.InvalidArgumentError, match=words) as caught:
        install(root)
    assert "This installation has agents for" in str(caught.value)
    assert contents(root) == before
    (tmp_path / "empty").mkdir()
    with pytest.raises(applevz.InvalidArgumentError, match="no init system that is known.*--export FILE"):
        install(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        install(tmp_path / "none")


def test_the_command_installs_prints_and_exports(
    system: tuple[Path, Service], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    root, service = system

    def command(*words: str) -> tuple[int, bytes]:
        status = applevz.__main__.main(["guest-agent", *words])
        return status, capfdbinary.readouterr().out

    assert command("--install", "--root", str(root))[0] == 0
    assert (root / PROGRAM).is_file()
    assert command("--install", "--root", str(root)) == (0, b"The agent was installed like this already.\n")
    assert command("--export", "-") == (0, agent_program())
    assert command("--export", str(tmp_path / "agent")) == (0, b"")
    assert os.access(tmp_path / "agent", os.X_OK)
    assert command("--print-service", service.init.lower()) == (0, service.text.encode())
    assert command("--install", "--root", str(tmp_path / "none"))[0] == 1
    for words in ([], ["--install", "--export", "-"], ["--export", "-", "--root", "/"]):
        assert command(*words)[0] == 2


def test_a_system_gets_the_agent_for_its_processor(
    system: tuple[Path, Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a wheel, which may have one for each processor.
    root, service = system
    own = agent_program()
    other = own[:18] + (183 if own[18] == 62 else 62).to_bytes(2, "little") + own[20:] + b"of the other processor"
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "guest-agent").write_bytes(own)
    (programs / "guest-agent-other").write_bytes(other)
    monkeypatch.setattr("applevz._host.guest_agent._PROGRAM", programs / "guest-agent")
    sign = next(name for name, value in SERVICES.items() if value is service)

    (root / sign).write_bytes(other[:64])
    install(root)
    assert (root / PROGRAM).read_bytes() == other

    (root / sign).write_bytes(own[:64])
    install(root)
    assert (root / PROGRAM).read_bytes() == own


@pytest.mark.skipif(sys.platform != "linux", reason="the agent runs on Linux")
def test_what_is_exported_is_the_agent_of_this_version(tmp_path: Path) -> None:
    assert applevz.__main__.main(["guest-agent", "--export", str(tmp_path / "agent")]) == 0
    done = subprocess.run([tmp_path / "agent", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{applevz.__version__}\n"
