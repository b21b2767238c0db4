#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prepares the guests of the tests and of `make run`, on Debian: `guest/prepare.py [--output DIR] [--all]`.

What is made, under `build/guest/` or DIR; all but the first three with `--all`, for the tests:

    vmlinuz          the distribution's cloud kernel as its package has it (a bzImage; on arm64 an Image)
    vmlinux          the same kernel, uncompressed: an ELF file with a PVH entry, which boots faster (on arm64 an Image)
    initrd.cpio.gz   a busybox initramfs with the virtio drivers and the files beside this script
    desktop/         the three once more with the kernel for PCs, which has what the cloud kernel lacks: a display, USB,
                     keyboards and pointing devices
    agent.cpio.gz    QEMU's agent, to be appended to the initramfs: `qemu-ga`, with its libraries
    efi.img          a disk from which EFI firmware boots the first and the third, by systemd-boot
    stamp.json       what they were made of; while it still holds, a second run does nothing
    packages/        the packages as downloaded

The packages are downloaded with `apt-get download` and unpacked with `dpkg-deb`, never installed, so an ordinary user
can do it. The command `cpio` must be there, the one that expands the kernel (`lz4` for Debian 12's, `zstd` for later
ones), and `mformat` (of mtools) for `--all`.

The guest
---------
The console is the first virtio console, hvc0 (what the VZ serial port classes give), else /dev/console. `console=hvc0`
on the kernel command line is needed only to see the kernel's own messages there, up to the ready line. The guest prints

    applevz guest: ready

when its devices are there and its power button works, and then runs a shell. There is no echo, lines end with a single
newline, and the prompt is "guest# ", so after writing "nproc\\n" all that is read up to the next prompt is the answer.
The usual control characters work: ^C stops what runs. A shell that exits is followed by a new one.

    answer TAG COMMAND…   runs the command, then prints "TAG: exit STATUS"
    beat                  prints "beat 1", "beat 2", … , one each 50 ms
    dhcp                  asks for an address for eth0 and prints "applevz guest: eth0 ADDRESS"
    poweroff, reboot      at once (in the shell; a script says `poweroff -f`)
    everything else       the applets of Debian's busybox-static

The power button powers the guest off. Words of the kernel command line that the guest obeys:

    net=dhcp              runs `dhcp` in the background after the ready line
    ignore_power_button   nothing happens when the power button is pressed

Modules that nobody loads there until a test wants them: pvpanic-mmio and what it needs (/modules/pvpanic-mmio.order).

Its command line where EFI firmware boots it is EFI_COMMAND_LINE below. `efivarfs` is loaded by hand there.

Debian 12's kernel needs 72 MiB of memory to get to the ready line; below that it panics before any console is there.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import hashlib
import json
import lzma
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DEFAULT_OUTPUT = HERE.parent / "build" / "guest"
APT_LISTS = Path("/var/lib/apt/lists")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PARTS = ("vmlinuz", "vmlinux", "initrd.cpio.gz")
BUSYBOX = "busybox-static"
PROGRAM_PACKAGES = ("qemu-guest-agent", "systemd-boot-efi")
ALL_PARTS = (*PARTS, "agent.cpio.gz", "efi.img", *(f"desktop/{name}" for name in PARTS))

# The files of the initramfs that stand beside this script, and where they go.
GUEST_FILES = {
    "init": "init",
    "profile": "etc/profile",
    "answer": "bin/answer",
    "beat": "bin/beat",
    "dhcp": "bin/dhcp",
}
# Drivers say themselves what they need. A kernel may have some of them built in; the last row is found on arm64 only. A
# missing one is no error.
MODULES = (
    "virtio_pci virtio_mmio virtio_console virtio_blk virtio_net virtio-rng virtio_balloon virtio_input virtiofs "
    "button evdev efivarfs pvpanic-mmio "
    "gpio-pl061 gpio_keys"
).split()

# The cloud kernel has none of them, or no use for them. The last two are asked for by others as they start, not by
# name; later kernels do without.
DESKTOP_MODULES = (
    "virtio-gpu xhci-pci usbhid hid-generic usb-storage uas sd_mod nvme crct10dif_generic crc64_rocksoft_generic"
).split()

# systemd-boot, and the name by which EFI firmware finds a program on a disk that no variable names.
EFI_PROGRAMS = {"amd64": ("systemd-bootx64.efi", "BOOTX64.EFI"), "arm64": ("systemd-bootaa64.efi", "BOOTAA64.EFI")}
EFI_COMMAND_LINE = "console=hvc0 quiet cryptomgr.notests"

ANOTHER_GUEST = "name a kernel and an initramfs with KERNEL= and INITRD="

XEN_ELFNOTE_PHYS32_ENTRY = 18
PT_NOTE = 4


class PreparationError(Exception):
    """The guest cannot be prepared; the text is one sentence for the person who reads it."""


def run(*command: str | os.PathLike[str], **options: Any) -> bytes:
    """Runs a command without a shell and returns what it wrote to its standard output."""
    name = os.fspath(command[0])
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command, capture_output=True, env=environment, **options
        )
    except FileNotFoundError:
        raise PreparationError(f"the command {name} is missing: install the package {name}") from None
    if done.returncode != 0:
        # All of them: the last is often only that there were others.
        words = "; ".join(line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip())
        line = " ".join(os.fspath(word) for word in command)
        raise PreparationError(f"{line} failed with status {done.returncode}: {words or 'it gave no reason'}")
    return done.stdout


# Packages


def check_host(everything: bool) -> str:
    """Debian's name of the architecture, on a host where the guest can be prepared."""
    machine = platform.machine()
    has_apt = all(map(shutil.which, ("apt-get", "apt-cache", "dpkg-deb")))
    if sys.platform != "linux" or machine not in ARCHITECTURES or not has_apt:
        raise PreparationError(
            f"the default guest is prepared on Debian for amd64 and arm64 only, and this is {sys.platform} on {machine}"
            f"{'' if has_apt else ' without apt'}: {ANOTHER_GUEST}"
        )
    needed = {"cpio": "cpio", **({"mformat": "mtools"} if everything else {})}
    for command, package in needed.items():
        if not shutil.which(command):
            raise PreparationError(f"the command {command} is missing: install the package {package}")
    return ARCHITECTURES[machine]


def resolve_packages(architecture: str, everything: bool) -> dict[str, str]:
    """The packages to download with their versions: the kernels that the metapackages name, and programs."""
    metapackages = [f"linux-image-cloud-{architecture}"]
    programs = [BUSYBOX]
    if everything:
        metapackages.append(f"linux-image-{architecture}")
        programs += PROGRAM_PACKAGES
    try:
        answer = run("apt-cache", "show", "--no-all-versions", *metapackages, *programs).decode()
    except PreparationError as error:
        if "No packages found" not in str(error):
            raise
        answer = ""
    packages = {}
    missing = {*metapackages, *programs}
    for stanza in answer.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
        name = fields.get("Package")
        if name in programs:
            packages[name] = fields["Version"]
        elif name in metapackages:
            dependency = re.search(r"(linux-image-[^ ,]+) \(= ([^)]+)\)", fields.get("Depends", ""))
            if not dependency:
                continue
            packages[dependency[1]] = dependency[2]
        missing.discard(name)
    if missing:
        raise PreparationError(
            f"apt knows no package {' and no package '.join(sorted(missing))}: run `apt-get update` as root, "
            f"or on a system other than Debian {ANOTHER_GUEST}"
        )
    return packages


def is_cloud_kernel(package: str) -> bool:
    return package.startswith("linux-image-") and "-cloud-" in package


def downloaded(folder: Path, package: str, version: str) -> Path | None:
    """The file of a package in the folder, by the name that apt gives it (a colon of the version is %3a there)."""
    return next(folder.glob(f"{package}_{version.replace(':', '%3a')}_*.deb"), None)


def download(packages: dict[str, str], folder: Path, scratch: Path) -> dict[str, Path]:
    """Downloads what is not in the folder yet; a file appears there only when it is complete."""
    folder.mkdir(exist_ok=True)
    wanted = [f"{name}={version}" for name, version in packages.items() if not downloaded(folder, name, version)]
    if wanted:
        say(f"downloading {', '.join(wanted)}")
        arriving = scratch / "download"
        arriving.mkdir()
        # As root, apt would give the download to a user who may not write here.
        as_root = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        run("apt-get", *as_root, "download", *wanted, cwd=arriving)
        for file in arriving.iterdir():
            file.replace(folder / file.name)
    files = {}
    for name, version in packages.items():
        arrived = downloaded(folder, name, version)
        if arrived is None:
            raise PreparationError(f"apt-get download gave no file for {name}={version}, though it did not fail")
        files[name] = arrived
    for file in folder.iterdir():
        if file not in files.values():
            file.unlink()
    return files


# The kernel


def decompress(data: bytes) -> bytes | None:
    """What the data, compressed in one of the ways the kernel's build knows, holds; None if it is none of them."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.decompress(data, format=lzma.FORMAT_XZ)
    if data[:3] == b"\x5d\0\0":
        return lzma.decompress(data, format=lzma.FORMAT_ALONE)
    if data[:4] == b"\x02\x21\x4c\x18":
        return run("lz4", "-d", "-c", input=data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return run("zstd", "-d", "-c", input=data)
    return None


def uncompressed_x86_kernel(kernel: bytes) -> bytes:
    """The ELF file inside a bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length)."""
    if kernel[0x202:0x206] != b"HdrS":
        raise PreparationError("the kernel of the package is no bzImage: the setup header has no HdrS")
    setup_sectors = kernel[0x1F1] or 4
    (version,) = struct.unpack_from("<H", kernel, 0x206)
    if version < 0x208:
        raise PreparationError(f"the kernel's boot protocol {version:#x} is older than 0x208, which names the payload")
    offset, length = struct.unpack_from("<II", kernel, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = kernel[start : start + length]
    # All formats but gzip, which has it itself, are followed by the uncompressed size in four bytes.
    is_gzip = payload[:2] == b"\x1f\x8b"
    data = decompress(payload if is_gzip else payload[:-4])
    if data is None:
        raise PreparationError(f"the kernel's payload begins with {payload[:6].hex()}, which is no known compression")
    (size,) = struct.unpack("<I", payload[-4:])
    if len(data) != size:
        raise PreparationError(f"the kernel's payload gave {len(data)} bytes where it says {size}")
    if not has_pvh_entry(data):
        raise PreparationError("the uncompressed kernel has no PVH entry (CONFIG_PVH), so QEMU could not boot it")
    return data


def has_pvh_entry(data: bytes) -> bool:
    """Whether a 64-bit ELF file has the note by which QEMU finds the entry for direct boot."""
    if data[:6] != b"\x7fELF\x02\x01":
        return False
    (table,) = struct.unpack_from("<Q", data, 32)
    entry_size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _, start, _, _, size = struct.unpack_from("<IIQQQQ", data, table + index * entry_size)
        if kind != PT_NOTE:
            continue
        position, end = start, start + size
        while position + 12 <= end:
            name_size, value_size, note = struct.unpack_from("<III", data, position)
            name = data[position + 12 : position + 12 + name_size]
            if note == XEN_ELFNOTE_PHYS32_ENTRY and name == b"Xen\0":
                return True
            position += 12 + (name_size + 3) // 4 * 4 + (value_size + 3) // 4 * 4
    return False


def uncompressed_arm64_kernel(kernel: bytes) -> bytes:
    """The Image in a kernel that may be one already, or a gzip file, or an EFI application with the Image inside."""
    if kernel[4:8] == b"zimg":
        offset, length = struct.unpack_from("<II", kernel, 8)
        kernel = kernel[offset : offset + length]
    data = decompress(kernel) or kernel
    if data[56:60] != b"ARM\x64":
        raise PreparationError("the kernel of the package is no arm64 Image")
    return data


# The initramfs


def information(module: bytes, field: str) -> str:
    """What a driver says of itself (`modinfo`); empty where it says nothing of it."""
    found = re.search(rb"\0" + field.encode() + rb"=([^\0]*)\0", module)
    return found[1].decode() if found else ""


def copy_modules(modules: Path, wanted: list[str], target: Path) -> list[str]:
    """Copies the wanted drivers, and those that they need, as the guest wants them: uncompressed and without folders.
    Beside each of the wanted is a file NAME.order with the names in the order in which they are loaded. Returns the
    names of all."""
    target.mkdir()
    # A driver's name is told with dashes or with underscores.
    files = {file.name.split(".ko", 1)[0].replace("-", "_"): file for file in modules.rglob("*.ko*")}
    copied: dict[str, list[str]] = {}

    def copy(name: str) -> list[str]:
        """The names of what is loaded for a driver, the driver's own last; none for what the kernel has built in."""
        file = files.get(name.replace("-", "_"))
        if file is None:
            return []
        name = file.name.split(".ko", 1)[0]
        if name not in copied:
            content = file.read_bytes()
            data = content if file.suffix == ".ko" else decompress(content)
            if data is None:
                raise PreparationError(f"the driver {file.name} is compressed in a way that is not known")
            (target / f"{name}.ko").write_bytes(data)
            needed = (copy(other) for other in information(data, "depends").split(",") if other)
            copied[name] = [*dict.fromkeys(other for order in needed for other in order), name]
        return copied[name]

    for name in wanted:
        order = copy(name)
        if order:
            (target / f"{name}.order").write_text(f"{' '.join(order)}\n")
    return sorted(copied)


def make_initramfs(root: Path, busybox: Path, modules: Path, wanted: list[str], output: Path) -> list[str]:
    for folder in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
        (root / folder).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in run(busybox, "--list").decode().split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for name, place in GUEST_FILES.items():
        target = root / place
        target.unlink(missing_ok=True)
        shutil.copyfile(HERE / name, target)
        target.chmod(0o755)
    names = copy_modules(modules, wanted, root / "modules")
    pack(root, output)
    return names


def pack(root: Path, output: Path) -> None:
    # Sorted, owned by root and without times, so the same input gives the same archive for every user.
    paths = sorted(path.relative_to(root) for path in root.rglob("*"))
    for path in paths:
        os.utime(root / path, (0, 0), follow_symlinks=False)
    listing = "".join(f"{path}\0" for path in paths).encode()
    archive = run(
        *"cpio --create --quiet --null --format=newc --owner=0:0 --reproducible".split(), input=listing, cwd=root
    )
    output.write_bytes(gzip.compress(archive, compresslevel=9, mtime=0))


def make_agent(package: Path, root: Path, output: Path) -> None:
    """The agent with the libraries that this system has for it: those of a system that has QEMU are enough."""
    program = package / "usr" / "sbin" / "qemu-ga"
    (root / "bin").mkdir(parents=True)
    shutil.copy(program, root / "bin" / "qemu-ga")
    # By that path it sets the hardware's clock.
    (root / "sbin").mkdir()
    (root / "sbin" / "hwclock").symlink_to("/bin/busybox")
    for line in run("ldd", program).decode().splitlines():
        found = re.search(r"(/\S+) \(0x", line)
        if "not found" in line:
            raise PreparationError(f"{line.split()[0]}, which qemu-ga needs, is missing: install QEMU")
        if found:
            target = root / found[1].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found[1], target)
    pack(root, output)


def make_efi_disk(ready: Path, boot_loader: Path, architecture: str) -> None:
    """A file system of EFI's kind (FAT) on a disk without partitions, which firmware boots as it boots a stick."""
    program, name = EFI_PROGRAMS[architecture]
    programs = list(boot_loader.glob(f"usr/lib/systemd/boot/efi/{program}"))
    if not programs:
        raise PreparationError(f"the package systemd-boot-efi has no {program} in /usr/lib/systemd/boot/efi")
    entry = f"title applevz\nlinux /vmlinuz\ninitrd /initrd\noptions {EFI_COMMAND_LINE}\n"
    texts = {"loader/loader.conf": "timeout 0\n", "loader/entries/guest.conf": entry}
    files = {f"EFI/BOOT/{name}": programs[0], "vmlinuz": ready / "vmlinuz", "initrd": ready / "initrd.cpio.gz"}
    for place, text in texts.items():
        files[place] = boot_loader / place.rpartition("/")[2]
        files[place].write_text(text)
    disk = ready / "efi.img"
    # With room for the tables and for what is rounded up; by a size that FAT with 16 bits takes.
    mebibytes = 18 + sum(file.stat().st_size for file in files.values()) // 2**20
    with open(disk, "wb") as image:
        image.truncate(mebibytes * 2**20)
    run("mformat", "-i", disk, "-v", "APPLEVZ", "-h", "64", "-s", "32", "-T", str(mebibytes * 2048), "::")
    run("mmd", "-i", disk, "::EFI", "::EFI/BOOT", "::loader", "::loader/entries")
    for place, file in files.items():
        run("mcopy", "-i", disk, file, f"::{place}")


# The whole


def say(text: str) -> None:
    print(f"guest: {text}", flush=True)


def recipe() -> str:
    """Changes when this script or a file of the initramfs does."""
    digest = hashlib.sha256()
    for name in ("prepare.py", *GUEST_FILES):
        content = (HERE / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def states_of(output: Path, names: Iterable[str]) -> dict[str, list[int]]:
    states = {}
    for name in names:
        try:
            status = (output / name).stat()
        except FileNotFoundError:
            continue
        states[name] = [status.st_size, status.st_mtime_ns]
    return states


def apt_lists_time() -> int:
    try:
        return APT_LISTS.stat().st_mtime_ns
    except OSError:
        return 0


def read_stamp(path: Path) -> dict[str, Any]:
    try:
        stamp = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(path: Path, stamp: dict[str, Any], scratch: Path) -> None:
    new = scratch / path.name
    new.write_text(json.dumps(stamp, indent=1) + "\n")
    new.replace(path)


def unpack(package: str, file: Path, target: Path) -> None:
    """Unpacks a package, a kernel without what no guest here has a use for, which is most of it."""
    target.mkdir()
    archive = target / "archive.tar"
    try:
        archive.write_bytes(run("dpkg-deb", "--fsys-tarfile", file))
    except PreparationError as error:
        file.unlink()
        raise PreparationError(f"{error}; the file is removed, so that the next run downloads it again") from None
    # The drivers are in /lib/modules or, from Debian 13 on, in /usr/lib/modules.
    parts = [f"./*lib/modules/*/kernel/{name}/*" for name in "arch block crypto drivers fs lib net".split()]
    chosen = ["--wildcards", "./boot/vmlinuz-*", *parts] if package.startswith("linux-image-") else []
    run("tar", "--extract", "--file", archive, "--directory", target, *chosen)
    archive.unlink()


def build_guest(unpacked: Path, busybox: Path, modules: list[str], architecture: str, ready: Path, root: Path) -> None:
    kernels = list((unpacked / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise PreparationError(f"the package {unpacked.name} has {len(kernels)} kernels in /boot, not one")
    ready.mkdir()
    shutil.copyfile(kernels[0], ready / "vmlinuz")
    kernel = kernels[0].read_bytes()
    expand = uncompressed_x86_kernel if architecture == "amd64" else uncompressed_arm64_kernel
    (ready / "vmlinux").write_bytes(expand(kernel))
    names = make_initramfs(root, busybox, unpacked, modules, ready / "initrd.cpio.gz")
    say(f"drivers in the initramfs: {' '.join(names)}")


def build(packages: dict[str, str], architecture: str, parts: tuple[str, ...], output: Path, scratch: Path) -> None:
    files = download(packages, output / "packages", scratch)
    say(f"unpacking {', '.join(f'{name} {version}' for name, version in packages.items())}")
    for name, file in files.items():
        unpack(name, file, scratch / name)
    places = [scratch / BUSYBOX / folder / "busybox" for folder in ("bin", "usr/bin")]
    busybox = next((path for path in places if path.is_file()), None)
    if busybox is None:
        raise PreparationError("the package busybox-static has no program busybox in /bin or /usr/bin")
    ready = scratch / "ready"
    ready.mkdir()
    for package in sorted(name for name in packages if name.startswith("linux-image-")):
        unpacked = scratch / package
        if is_cloud_kernel(package):
            build_guest(unpacked, busybox, MODULES, architecture, ready / "cloud", scratch / "root")
        else:
            modules = [*MODULES, *DESKTOP_MODULES]
            build_guest(unpacked, busybox, modules, architecture, ready / "desktop", scratch / "desktop-root")
    if parts == ALL_PARTS:
        make_agent(scratch / "qemu-guest-agent", scratch / "agent-root", ready / "cloud" / "agent.cpio.gz")
        make_efi_disk(ready / "cloud", scratch / "systemd-boot-efi", architecture)
        (output / "desktop").mkdir(exist_ok=True)
    for name in parts:
        (ready / (name if "/" in name else f"cloud/{name}")).replace(output / name)
        say(f"made {output / name}, {(output / name).stat().st_size:,} bytes")


def prepare(output: Path, everything: bool) -> None:
    architecture = check_host(everything)
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = open(output / ".lock", "w")
    except OSError as error:
        raise PreparationError(f"cannot write to {output}: {error.strerror}") from None
    with lock:
        # Two runs at once: the second waits, then finds everything done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp_path = output / "stamp.json"
        stamp = read_stamp(stamp_path)
        made = stamp.get("files", {})
        # Whoever wants less finds what somebody wanted more of.
        parts = ALL_PARTS if everything or set(ALL_PARTS) <= set(made) else PARTS
        is_current = stamp.get("recipe") == recipe() and set(parts) <= set(made) and made == states_of(output, made)
        if is_current and stamp.get("apt_lists") == apt_lists_time():
            say(f"{output} is up to date ({stamp.get('kernel')})")
            return
        # What a killed run left behind; a command that it started may still be writing there, for a moment.
        for leftover in output.glob("scratch-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=output) as name:
            scratch = Path(name)
            lists_time = apt_lists_time()
            packages = resolve_packages(architecture, parts == ALL_PARTS)
            if not is_current or stamp.get("packages") != packages:
                started = time.monotonic()
                stamp_path.unlink(missing_ok=True)
                build(packages, architecture, parts, output, scratch)
                say(f"prepared in {time.monotonic() - started:.1f} s")
            else:
                say(f"{output} is up to date, its packages are the newest that apt knows")
            kernel = next(f"{name} {version}" for name, version in packages.items() if is_cloud_kernel(name))
            stamp = {
                "kernel": kernel,
                "packages": packages,
                "recipe": recipe(),
                "apt_lists": lists_time,
                "files": states_of(output, parts),
            }
            write_stamp(stamp_path, stamp, scratch)


def main() -> int:
    parser = argparse.ArgumentParser(description="Prepares the default guest from Debian's packages.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="folder for the guest (build/guest)")
    parser.add_argument("--all", action="store_true", help="what the tests need, too")
    given = parser.parse_args()
    try:
        prepare(given.output, given.all)
    except PreparationError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"guest: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
