# SPDX-License-Identifier: Apache-2.0
"""The build for Macs, seen from a machine that is none: what Apple's tools are asked and told, and what the compiler
makes of the bridge for both processors, with a played SDK (played_sdk.py) and played tools."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import played_sdk
import pytest

import native_programs
from places import NATIVE, ROOT

sys.path.insert(0, str(NATIVE))
import older_sdk
import typecheck_macos

OLDEST = (13, 0)
LICENCE = "You have not agreed to the Xcode license agreements. Please run 'sudo xcodebuild -license'."


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played_sdk.assemble(tmp_path_factory.mktemp("MacOSX26.0.sdk"))


@pytest.fixture(scope="session")
def toolchain_module() -> ModuleType:
    return native_programs.load_toolchain()


@pytest.fixture(scope="session")
def clang(toolchain_module: ModuleType) -> str:
    found: str | None = toolchain_module.Toolchain.find_clang()
    assert found is not None
    return found


# ---- What Apple's tools are asked ----


class Tools:
    """A folder for PATH with a played xcrun, which writes down what it is asked."""

    def __init__(self, folder: Path, sdk: Path) -> None:
        self.folder = folder / "tools"
        self.folder.mkdir()
        self.clang = self.program("toolchain-clang", "exit 0")
        self._asked = folder / "asked"
        self._asked.touch()
        self.xcrun(f'case "$*" in *--find*) echo {self.clang};; *macosx\\ *|*macosx14.2\\ *) echo {sdk};; esac')

    def program(self, name: str, script: str) -> Path:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def xcrun(self, script: str) -> None:
        self.program("xcrun", f'echo "$*" >>{self._asked}\n{script}')

    def asked(self) -> list[str]:
        return self._asked.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def tools(tmp_path: Path, sdk: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    found = Tools(tmp_path, sdk)
    monkeypatch.setenv("PATH", f"{found.folder}:/usr/bin:/bin")
    for name in ("CLANG", "SDKROOT", "ARCHFLAGS", "MACOSX_DEPLOYMENT_TARGET"):
        monkeypatch.delenv(name, raising=False)
    return found


def words_after(command: Sequence[str], option: str) -> list[str]:
    return [word for before, word in itertools.pairwise(command) if before == option]


def test_the_sdk_and_the_compiler_are_those_of_xcrun(tools: Tools, sdk: Path, toolchain_module: ModuleType) -> None:
    toolchain = toolchain_module.Toolchain._find_macos()
    assert toolchain.clang == str(tools.clang)
    assert sorted(tools.asked()) == ["--find clang", "--sdk macosx --show-sdk-path"]
    for flags in (toolchain.compile_flags(), toolchain.link_flags(), toolchain.platform_flags):
        assert words_after(flags, "-isysroot") == [str(sdk)]
        assert [flag for flag in flags if "version-min" in flag] == ["-mmacosx-version-min=13.0"]


def test_sdkroot_is_a_folder_or_a_name_as_apple_s_tools_take_it(
    tools: Tools, sdk: Path, tmp_path: Path, toolchain_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDKROOT", "macosx14.2")
    assert words_after(toolchain_module.Toolchain._find_macos().platform_flags, "-isysroot") == [str(sdk)]
    assert "--sdk macosx14.2 --show-sdk-path" in tools.asked()
    tools.xcrun("exit 1")
    other = Path(shutil.copytree(sdk, tmp_path / "Other.sdk"))
    monkeypatch.setenv("SDKROOT", str(other))
    monkeypatch.setenv("CLANG", str(tools.clang))
    assert words_after(toolchain_module.Toolchain._find_macos().platform_flags, "-isysroot") == [str(other)]


@pytest.mark.parametrize("failing", ["--find", "--show-sdk-path"])
def test_what_xcrun_says_goes_on_into_the_error(tools: Tools, toolchain_module: ModuleType, failing: str) -> None:
    tools.xcrun(f'case "$*" in *{failing}*) echo "{LICENCE}" >&2; exit 69;; *) echo {tools.clang};; esac')
    with pytest.raises(toolchain_module.MissingTools, match=re.escape(LICENCE)) as refusal:
        toolchain_module.Toolchain._find_macos()
    assert failing in str(refusal.value)


def test_an_xcrun_that_succeeds_may_say_more(tools: Tools, sdk: Path, toolchain_module: ModuleType) -> None:
    tools.xcrun(f'echo warning >&2; case "$*" in *--find*) echo {tools.clang};; *) echo {sdk};; esac')
    assert toolchain_module.Toolchain._find_macos().clang == str(tools.clang)


def test_missing_tools_are_named_with_their_cure(
    tools: Tools, tmp_path: Path, toolchain_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tools.folder / "xcrun").unlink()
    monkeypatch.setenv("PATH", str(tools.folder))
    with pytest.raises(toolchain_module.MissingTools, match="xcode-select --install"):
        toolchain_module.Toolchain._find_macos()
    monkeypatch.setenv("CLANG", "clang-that-nobody-has")
    with pytest.raises(toolchain_module.MissingTools, match="clang-that-nobody-has that CLANG names"):
        toolchain_module.Toolchain._find_macos()


def test_an_sdk_that_cannot_do_is_refused_by_name(
    sdk: Path, tools: Tools, tmp_path: Path, toolchain_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal() -> str:
        with pytest.raises(toolchain_module.MissingTools) as error:
            toolchain_module.Toolchain._find_macos()
        return str(error.value)

    monkeypatch.setenv("SDKROOT", str(tmp_path / "gone.sdk"))
    assert "gone.sdk, which SDKROOT names, is not a macOS SDK" in refusal()
    old = Path(shutil.copytree(sdk, tmp_path / "MacOSX12.3.sdk"))
    (old / "SDKSettings.json").write_text('{"Version": "12.3"}', encoding="utf-8")
    monkeypatch.setenv("SDKROOT", str(old))
    assert "is the SDK of macOS 12.3: 13.0 is the oldest" in refusal()
    (old / "SDKSettings.json").unlink()
    shutil.rmtree(old / played_sdk.FRAMEWORKS / "Virtualization.framework" / "Headers")
    assert "no headers of the Virtualization framework" in refusal()


def test_type_checking_without_an_sdk_is_one_sentence(tmp_path: Path) -> None:
    done = typecheck(NATIVE, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path} is not a macOS SDK: it has no System/Library/Frameworks.\n"


@pytest.mark.parametrize(
    ("asked", "target"),
    [(None, "13.0"), ("10.13", "13.0"), ("11", "13.0"), ("13.0", "13.0"), ("14", "14"), ("15.2", "15.2")],
)
def test_the_deployment_target_is_the_library_s_or_a_later_one_that_is_asked_for(
    tools: Tools, toolchain_module: ModuleType, monkeypatch: pytest.MonkeyPatch, asked: str | None, target: str
) -> None:
    if asked is not None:
        monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", asked)
    toolchain = toolchain_module.Toolchain._find_macos()
    assert f"-mmacosx-version-min={target}" in toolchain.compile_flags()
    assert f"-mmacosx-version-min={target}" in toolchain.link_flags()


def test_a_deployment_target_that_is_no_version_is_refused_by_name(
    tools: Tools, toolchain_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", "ventura")
    with pytest.raises(toolchain_module.MissingTools, match="MACOSX_DEPLOYMENT_TARGET is 'ventura'"):
        toolchain_module.Toolchain._find_macos()


UNIVERSAL = "-fno-strict-overflow -arch arm64 -arch x86_64 -g -O3 -arch arm64 -arch x86_64"


@pytest.mark.parametrize(
    ("archflags", "of_python", "architectures"),
    [
        (None, "-O3 -Wall", []),
        (None, UNIVERSAL, ["arm64", "x86_64"]),
        ("-arch arm64", UNIVERSAL, ["arm64"]),
        ("-arch x86_64 -arch arm64", "-O3", ["x86_64", "arm64"]),
        ("", UNIVERSAL, []),
    ],
)
def test_the_processors_are_those_of_archflags_or_of_python(
    tools: Tools,
    toolchain_module: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    archflags: str | None,
    of_python: str,
    architectures: list[str],
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"CFLAGS": of_python}.get)
    if archflags is not None:
        monkeypatch.setenv("ARCHFLAGS", archflags)
    toolchain = toolchain_module.Toolchain._find_macos()
    assert words_after(toolchain.compile_flags(), "-arch") == architectures
    assert words_after(toolchain.link_flags(), "-arch") == architectures


# ---- What both compilers are told by setup.py ----

# Plays a Mac's Python: setuptools looks at the platform's name, and has ways of its own with a Mac's flags.
PLAYED_PYTHON = """
import json, os, platform, sys, sysconfig
import _osx_support, urllib.request
sysconfig.get_config_vars().update(json.loads(os.environ["PLAYED_CONFIGURATION"]))
sys.platform = "darwin"
names = os.uname_result(("Darwin", "mac", "23.5.0", "Darwin Kernel Version 23.5.0", "arm64"))
os.uname = lambda: names
platform.system = lambda: "Darwin"
_osx_support._get_system_version = lambda: "14.5"
sys.argv = ["setup.py", "--quiet", "build", "--build-base", "out", "--build-lib", "out"]
sys.path.insert(0, os.getcwd())
exec(compile(open("setup.py").read(), os.path.abspath("setup.py"), "exec"), {"__name__": "__main__", "__file__":
     os.path.abspath("setup.py")})
"""
# Writes down what it is told, makes the files it is to make, and preprocesses.
PLAYED_CLANG = """#!{python} -IS
import json, os, sys
words = sys.argv[1:]
names = ("CC", "MACOSX_DEPLOYMENT_TARGET")
with open({log!r}, "a") as log:
    told = {{name: os.environ[name] for name in names if name in os.environ}}
    log.write(json.dumps([os.path.basename(sys.argv[0]), words, told]) + "\\n")
if "-E" in words:
    if words.count("-arch") > 1:
        sys.exit("clang: error: cannot use 'cpp-output' output with multiple -arch options")
    os.execv({clang!r}, ["clang", *words])
for option in ("-o", "-MF"):
    if option in words:
        open(words[words.index(option) + 1], "w").close()
"""
# Of python.org's builds: for both processors, and for older Macs than the library is for.
OF_PYTHON_ORG = {
    "CC": "clang",
    "CXX": "clang++",
    "CFLAGS": UNIVERSAL,
    "CCSHARED": "",
    "LDSHARED": "clang -bundle -undefined dynamic_lookup -arch arm64 -arch x86_64 -g",
    "MACOSX_DEPLOYMENT_TARGET": "10.13",
}
# Of Homebrew's: for one processor, which no flag names, and for the macOS that it was built on.
OF_HOMEBREW = {
    **OF_PYTHON_ORG,
    "CFLAGS": "-fno-strict-overflow -O3 -isysroot /Library/Developer/MacOSX15.sdk",
    "LDSHARED": "clang -bundle -undefined dynamic_lookup -isysroot /Library/Developer/MacOSX15.sdk",
    "MACOSX_DEPLOYMENT_TARGET": "15.0",
}


class Build:
    """What a run of the whole setup.py told the compilers."""

    def __init__(self, folder: Path, sdk: Path, clang: str, of_python: dict[str, str], **environment: str) -> None:
        self.folder = folder / "project"
        self.log = folder / "told"
        ignored = shutil.ignore_patterns("*.so", "*.dylib", "__pycache__", "*.egg-info")
        for name in ("native", "src"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=ignored)
        for name in ("setup.py", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, self.folder)
        tools = Tools(folder, sdk)
        for name in ("clang", "toolchain-clang"):
            program = PLAYED_CLANG.format(python=sys.executable, log=str(self.log), clang=clang)
            (tools.folder / name).write_text(program, encoding="utf-8")
            (tools.folder / name).chmod(0o755)
        known = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR")}
        self.done = subprocess.run(
            [sys.executable, "-c", PLAYED_PYTHON],
            cwd=self.folder,
            env={
                **known,
                "PATH": f"{tools.folder}:/usr/bin:/bin",
                "PLAYED_CONFIGURATION": json.dumps(of_python),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert self.done.returncode == 0, self.done.stdout + self.done.stderr
        lines = self.log.read_text(encoding="utf-8").splitlines()
        self.steps: list[tuple[str, list[str], dict[str, str]]] = [tuple(json.loads(line)) for line in lines]

    def of(self, program: str, *options: str) -> list[list[str]]:
        """The words of the steps of one compiler that have all these options."""
        return [words for name, words, _ in self.steps if name == program and set(options) <= set(words)]

    def everything(self) -> list[list[str]]:
        """All compilations and links."""
        return [words for _, words, _ in self.steps if "-E" not in words]


@pytest.mark.parametrize(
    ("of_python", "environment", "architectures", "target"),
    [
        (OF_PYTHON_ORG, {}, ["arm64", "x86_64"], "13.0"),
        (OF_PYTHON_ORG, {"ARCHFLAGS": "-arch x86_64", "MACOSX_DEPLOYMENT_TARGET": "14.0"}, ["x86_64"], "14.0"),
        (OF_HOMEBREW, {}, [], "13.0"),
    ],
    ids=["python.org", "asked for", "Homebrew"],
)
def test_library_and_extensions_are_built_for_one_sdk_one_macos_and_the_same_processors(
    tmp_path: Path,
    sdk: Path,
    clang: str,
    of_python: dict[str, str],
    environment: dict[str, str],
    architectures: list[str],
    target: str,
) -> None:
    build = Build(tmp_path, sdk, clang, of_python, **environment)
    for words in build.everything():
        assert words_after(words, "-isysroot") == [str(sdk)], words
        assert words_after(words, "-arch") == architectures, words
        assert [word for word in words if "version-min" in word] == [f"-mmacosx-version-min={target}"], words

    # The library, by the compiler that xcrun names.
    compiled = {Path(words_after(words, "-c")[0]).name for words in build.of("toolchain-clang", "-c")}
    sources = [*(NATIVE / "bridge").rglob("*.[cm]"), *(NATIVE / "messages").rglob("*.[cm]")]
    assert compiled == {source.name for source in sources}
    (link,) = build.of("toolchain-clang", "-shared")
    assert words_after(link, "-framework") == ["Foundation", "CoreFoundation", "Security", "Virtualization"]
    assert "-Wl,-install_name,@rpath/libapplevz.dylib" in link
    assert (build.folder / "out" / "applevz" / "libapplevz.dylib").is_file()

    # The extensions, by Python's own.
    assert len(build.of("clang", "-c")) == 2
    links = build.of("clang", "-bundle")
    assert len(links) == 2
    binding = next(words for words in links if any("_applevz" in Path(word).name for word in words))
    assert "-Wl,-rpath,@loader_path" in binding
    assert any(word.endswith("libapplevz.dylib") for word in binding)
    assert words_after(binding, "-framework") == ["CoreFoundation"]

    # The declarations, for no processor: several would be refused.
    (preprocessed,) = build.of("toolchain-clang", "-E")
    assert "-arch" not in preprocessed

    told = [environment for name, words, environment in build.steps if name == "clang" and "-bundle" in words]
    # As a wheel is named: for what is in it, or what Python itself is for where that is later.
    later = environment.get("MACOSX_DEPLOYMENT_TARGET", of_python["MACOSX_DEPLOYMENT_TARGET"])
    expected = later if float(later) > 13 else "13.0"
    assert [names.get("MACOSX_DEPLOYMENT_TARGET") for names in told] == [expected, expected]
    assert not any("CC" in names for _, _, names in build.steps)


# ---- What the compiler makes of the bridge ----


def typecheck(native: Path, sdk: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(native / "typecheck_macos.py"), "--sdk", str(sdk)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_bridge_type_checks_for_both_processors_and_with_each_sdk_since_macos_13(sdk: Path) -> None:
    done = typecheck(NATIVE, sdk)
    # What is undeclared there may well be Apple's: tests/played_sdk has what was looked up so far.
    assert done.returncode == 0, done.stderr
    for name in ("arm64-", "x86_64-", "SDK of macOS 13.0", "SDK of macOS 14.0", "SDK of macOS 15.0"):
        assert name in done.stdout


PLANTED = {
    "what is declared and guarded": (
        """
#import "boundary/newer_sdk.h"
id planted(void) {
    if (@available(macOS 15.0, *))
        return [[VZXHCIControllerConfiguration alloc] init];
    return nil;
}
""",
        None,
    ),
    "no guard around a class": (
        """
#import "boundary/newer_sdk.h"
id planted(void) {
    return [[VZXHCIControllerConfiguration alloc] init];
}
""",
        "'VZXHCIControllerConfiguration' is only available on macOS 15.0 or newer",
    ),
    "a guard for an older macOS": (
        """
#import "boundary/newer_sdk.h"
id planted(void) {
    if (@available(macOS 14.0, *))
        return [[VZXHCIControllerConfiguration alloc] init];
    return nil;
}
""",
        "'VZXHCIControllerConfiguration' is only available on macOS 15.0 or newer",
    ),
    "no guard around a property": (
        """
#import "boundary/newer_sdk.h"
id planted(VZVirtualMachine *machine) {
    return machine.usbControllers;
}
""",
        "'usbControllers' is only available on macOS 15.0 or newer",
    ),
    "a class that an older SDK does not declare": (
        """
#import <Virtualization/Virtualization.h>
id planted(void) {
    if (@available(macOS 15.0, *))
        return [[VZXHCIControllerConfiguration alloc] init];
    return nil;
}
""",
        "(undeclared identifier|unknown receiver) 'VZXHCIControllerConfiguration'",
    ),
    "a property that an older SDK does not declare": (
        """
#import <Virtualization/Virtualization.h>
id planted(VZVirtualMachine *machine) {
    if (@available(macOS 15.0, *))
        return machine.usbControllers;
    return nil;
}
""",
        "property 'usbControllers' not found",
    ),
    "a value that an older SDK does not declare": (
        """
#import "boundary/newer_sdk.h"
BOOL planted(VZVirtualMachine *machine) {
    switch (machine.state) {
    case VZVirtualMachineStateSaving:
        return YES;
    default:
        return NO;
    }
}
""",
        "undeclared identifier 'VZVirtualMachineStateSaving'",
    ),
    "a method that Apple's framework has for its own processors": (
        """
#import "boundary/newer_sdk.h"
void planted(VZVirtualMachine *machine, NSURL *url) {
    if (@available(macOS 14.0, *))
        [machine saveMachineStateToURL:url completionHandler:^(NSError *error) { (void)error; }];
}
""",
        "declares the selector 'saveMachineStateToURL:completionHandler:'",
    ),
    "a selector that nobody declares": (
        """
#import <Foundation/Foundation.h>
BOOL planted(id object) {
    return [object respondsToSelector:@selector(applevzOfNobody:)];
}
""",
        "undeclared selector 'applevzOfNobody:'",
    ),
    "a function that only Linux has": (
        """
#import <Foundation/Foundation.h>
#import <sys/socket.h>
int planted(int listener) {
    return accept4(listener, NULL, NULL, 0);
}
""",
        "function 'accept4'",
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_type_checking_finds(what: str, sdk: Path, tmp_path: Path) -> None:
    program, told = PLANTED[what]
    native = tmp_path / "native"
    for folder in ("bridge", "messages", "include"):
        shutil.copytree(NATIVE / folder, native / folder, ignore=shutil.ignore_patterns("*.[cm]"))
    for script in NATIVE.glob("*.py"):
        shutil.copy(script, native)
    (native / "bridge" / "planted.m").write_text(program, encoding="utf-8")
    done = typecheck(native, sdk)
    if told is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1
        assert re.search(told, done.stderr)


def test_a_header_is_cut_to_what_an_older_sdk_declares() -> None:
    text = """
#import <Virtualization/VZDefines.h>
NS_ASSUME_NONNULL_BEGIN
@class VZLater; @protocol VZLate;

/*! Says API_AVAILABLE(macos(11.0)); in words only. */
NS_SWIFT_SENDABLE
VZ_EXPORT API_AVAILABLE(macos(15.0))
@interface VZLater : VZThing <NSCopying>
- (void)use:(NSInteger)value;
@end

typedef NS_ERROR_ENUM(VZErrorDomain, VZCode) {
    VZCodeFirst NS_SWIFT_NAME(first) = 1,
    VZCodeLater API_AVAILABLE(macos(14.0)) = 2,
} API_AVAILABLE(macos(11.0));

VZ_EXPORT API_AVAILABLE(macos(14.0)) @interface VZLaidOut
    : VZThing <NSCopying>
@property (readonly) NSInteger width;
@end

VZ_EXPORT API_AVAILABLE(macos(11.0))
@interface VZThing : NSObject
#if defined(__arm64__)
- (void)save:(void (^NS_SWIFT_NONSENDABLE)(NSError *error))handler NS_SWIFT_NAME(save(_:)) API_AVAILABLE(macos(14.0));
#endif // defined(__arm64__)
@property (readonly) NSInteger kept;
@end
NS_ASSUME_NONNULL_END
"""
    cut = older_sdk.header(text, (13, 0))
    assert [line for line in cut.splitlines() if line.strip()] == [
        "#import <Virtualization/VZDefines.h>",
        "NS_ASSUME_NONNULL_BEGIN",
        "@class VZLater; @protocol VZLate;",
        "typedef NS_ERROR_ENUM(VZErrorDomain, VZCode) {",
        "    VZCodeFirst NS_SWIFT_NAME(first) = 1,",
        "} API_AVAILABLE(macos(11.0));",
        "VZ_EXPORT API_AVAILABLE(macos(11.0))",
        "@interface VZThing : NSObject",
        "#if defined(__arm64__)",
        "#endif ",
        "@property (readonly) NSInteger kept;",
        "@end",
        "NS_ASSUME_NONNULL_END",
    ]
    newest = older_sdk.header(text, (26, 0))
    assert newest == older_sdk.with_head_lines(older_sdk.without_comments(text))
    assert "VZ_EXPORT API_AVAILABLE(macos(14.0))\n@interface VZLaidOut : VZThing <NSCopying>\n" in newest


def declared_since() -> dict[str, tuple[int, ...]]:
    """Since which macOS there is each symbol of the framework, by the attributes of its headers."""
    found = {}
    for header in sorted(played_sdk.VIRTUALIZATION.glob("VZ*.h")):
        for declaration in older_sdk.declarations(older_sdk.without_comments(header.read_text(encoding="utf-8"))):
            head = older_sdk.head(declaration)
            if name := re.search(r"@interface (\w+) :", head):
                found[f"_OBJC_CLASS_$_{name[1]}"] = older_sdk.introduced(head)
            elif name := re.search(r"\bVZ_EXTERN [^;]*?\b(\w+)(?: API_AVAILABLE\(.*\))?;", declaration):
                found[f"_{name[1]}"] = older_sdk.introduced(declaration)
    return found


SYMBOL = re.compile(r"\(undefined\) (weak )?external (\S*VZ\S*)")


def references(
    toolchain_module: ModuleType, clang: str, target: str, sdk: Path, build: Path, further: Sequence[str] = ()
) -> dict[str, set[bool]]:
    """The framework's symbols that the objects of the library refer to, and whether they do so weakly."""
    toolchain = toolchain_module.Toolchain(clang, [], [], macos=True, sdk=str(sdk))
    flags = ["-target", target, *toolchain.compile_flags("-O0"), *further]
    objects = toolchain.objects(typecheck_macos.sources(), build_dir=build, flags=flags)
    listed = subprocess.run(["llvm-nm", "-m", "-u", *objects], capture_output=True, text=True, check=True).stdout
    found: dict[str, set[bool]] = {}
    for weak, name in SYMBOL.findall(listed):
        if "AppleVZ" not in name:
            found.setdefault(name, set()).add(bool(weak))
    return found


@pytest.mark.parametrize("target", typecheck_macos.TARGETS)
def test_references_are_weak_to_exactly_what_is_newer_than_macos_13(
    target: str, toolchain_module: ModuleType, clang: str, sdk: Path, tmp_path: Path
) -> None:
    since = declared_since()
    found = references(toolchain_module, clang, target, sdk, tmp_path)
    assert {name: is_weak for name, is_weak in found.items() if is_weak != {since[name] > OLDEST}} == {}
    # Whatever class of these the sources name, the objects refer to.
    sources = "\n".join(Path(source).read_text(encoding="utf-8") for source in typecheck_macos.sources())
    named = {f"_OBJC_CLASS_$_{name}" for name in re.findall(r"\[(VZ\w+) (?:alloc|class)\]", sources)}
    newer = {name for name in named if since[name] > OLDEST}
    assert newer
    assert {name for name, is_weak in found.items() if True in is_weak} == newer


def test_built_with_the_oldest_sdk_the_library_refers_to_nothing_newer(
    toolchain_module: ModuleType, clang: str, sdk: Path, tmp_path: Path
) -> None:
    """A link with that SDK finds no such symbol, be it weak or not: classes are looked up by their names."""
    older = typecheck_macos.older_flags(str(sdk), "13.0", tmp_path / "framework")
    found = references(toolchain_module, clang, typecheck_macos.TARGETS[0], sdk, tmp_path / "objects", older)
    since = declared_since()
    assert found
    assert [name for name in found if since[name] > OLDEST] == []
    assert all(is_weak == {False} for is_weak in found.values())


def test_what_the_bridge_declares_for_older_sdks_is_what_the_framework_declares() -> None:
    def members(text: str) -> set[str]:
        lines = re.findall(r"^\s*((?:[-+] ?\(|@property)[^;]*;)", older_sdk.without_comments(text), re.MULTILINE)
        return {" ".join(re.sub(r"\bAPI_AVAILABLE\(.*?\)\)", "", line).split()).replace(" ;", ";") for line in lines}

    headers = played_sdk.VIRTUALIZATION.glob("VZ*.h")
    framework = {member for header in headers for member in members(header.read_text(encoding="utf-8"))}
    ours = members((NATIVE / "bridge" / "boundary" / "newer_sdk.h").read_text(encoding="utf-8"))
    assert len(ours) > 10
    assert ours - framework == set()
