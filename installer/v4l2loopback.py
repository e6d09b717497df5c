"""Which commands give a Linux machine two virtual cameras, now and after every start."""

from __future__ import annotations

import grp
import os
import platform
import pwd
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

OPTIONS = 'options v4l2loopback devices=2 exclusive_caps=1,1 card_label="obs-stylizer,OBS"'
LOAD = "v4l2loopback"

# Before 73-seat-late.rules, where the tag uaccess is acted on.
RULE = (
    'SUBSYSTEM=="video4linux", ATTR{name}=="obs-stylizer", '
    'GROUP="video", MODE="0660", TAG+="uaccess", SYMLINK+="obs-stylizer"'
)

FILES = (
    ("modprobe.d/obs-stylizer.conf", OPTIONS),
    ("modules-load.d/obs-stylizer.conf", LOAD),
    ("udev/rules.d/70-obs-stylizer.rules", RULE),
)
"""What is written below /etc: how the module is loaded, that it is at boot, who may open it."""

# The program that installs packages, and what brings the module and what it is built against.
PACKAGES = {
    "apt-get": "apt-get install -y v4l2loopback-dkms {headers}",
    "dnf": "dnf install -y v4l2loopback",
    "pacman": "pacman -S --needed --noconfirm v4l2loopback-dkms linux-headers",
    "zypper": "zypper --non-interactive install v4l2loopback-kmp-default",
}


@dataclass(frozen=True)
class System:
    """What matters about the machine.

    Attributes:
        etc: the folder /etc.
        user: who shall use the cameras.
        is_in_group: whether they are in the group video.
        is_installed: whether the kernel can load the module.
        is_loaded: whether it is loaded.
        package_manager: the first of :data:`PACKAGES` that is there; "" for none.
        headers: the package of the running kernel's headers, for Debian and Ubuntu.
        contents: what stands in our files now, by their names in :data:`FILES`.
        others: files of others that give the module options or load it.
        secure_boot: whether only signed modules are loaded.
        labels: names of the virtual cameras that there are now.
    """

    user: str
    etc: Path = Path("/etc")
    is_in_group: bool = True
    is_installed: bool = False
    is_loaded: bool = False
    package_manager: str = ""
    headers: str = ""
    contents: dict[str, str] = field(default_factory=dict)
    others: tuple[Path, ...] = ()
    secure_boot: bool = False
    labels: tuple[str, ...] = ()


def look(user: str, etc: Path = Path("/etc"), sys: Path = Path("/sys")) -> System:
    """Looks at this machine."""
    return System(
        user=user,
        etc=etc,
        is_in_group=_is_in_group(user),
        is_installed=_succeeds("modinfo", "-n", "v4l2loopback"),
        is_loaded=(sys / "module" / "v4l2loopback").is_dir(),
        package_manager=next((name for name in PACKAGES if _tool(name)), ""),
        headers=_headers(),
        contents={name: _read(etc / name) for name, _ in FILES if (etc / name).exists()},
        others=_others(etc),
        secure_boot="enabled" in _output("mokutil", "--sb-state"),
        labels=labels(sys),
    )


def setting_up(system: System) -> list[str]:
    """The commands for two cameras; empty if there is nothing left to do."""
    lines = []
    if not system.is_installed and system.package_manager:
        if system.package_manager == "apt-get":
            lines.append("apt-get update")
        lines.append(PACKAGES[system.package_manager].format(headers=system.headers))
    for name, text in FILES:
        if system.contents.get(name, "").strip() != text:
            path = shlex.quote(str(system.etc / name))
            lines.append(f"mkdir -p {shlex.quote(str((system.etc / name).parent))}")
            lines.append(f"echo {shlex.quote(text)} > {path}")
    if not system.is_in_group:
        lines.append(f"usermod -a -G video {shlex.quote(system.user)}")
    if "obs-stylizer" in system.labels and len(system.labels) >= 2 and not lines:
        return []
    if system.is_loaded:
        lines.append("modprobe -r v4l2loopback")
    lines.append("udevadm control --reload || true")
    lines.append("modprobe v4l2loopback")
    lines.append("udevadm settle || true")
    return lines


def removal(system: System) -> list[str]:
    """The commands that undo it. The package and the group stay: others may need them."""
    written = [name for name, _ in FILES if name in system.contents]
    lines = [f"rm {shlex.quote(str(system.etc / name))}" for name in written]
    if written and system.is_loaded:
        # In use, it stays until the machine is started anew.
        lines.append("modprobe -r v4l2loopback || true")
    return lines


def warnings(system: System) -> list[str]:
    """What could come in between."""
    found = []
    if not system.is_installed and not system.package_manager:
        found.append(
            "the kernel has no module v4l2loopback, and no package manager that we know is here; "
            "install the module first"
        )
    if system.package_manager == "dnf" and not system.is_installed:
        found.append("on Fedora the package is in RPM Fusion: see https://rpmfusion.org")
    if system.secure_boot and not system.is_installed:
        found.append(
            "Secure Boot is on: a module that is built here must be signed. The installation of "
            "the package asks for a password for that, which is to be given once at the next start"
        )
    found += [
        f"{path} speaks of v4l2loopback too; where both say something, it may win"
        for path in system.others
    ]
    return found


def devices() -> list[str]:
    """The virtual cameras that there are now, as "/dev/video9 (obs-stylizer)"."""
    return [f"/dev/{path.parent.name} ({_read(path).strip()})" for path in _names(Path("/sys"))]


def labels(sys: Path) -> tuple[str, ...]:
    """The names of the virtual cameras that there are now."""
    return tuple(_read(path).strip() for path in _names(sys))


def _names(sys: Path) -> list[Path]:
    found = sorted(sys.glob("devices/virtual/video4linux/video*/name"))
    # Other virtual devices have no such attribute; which of them there is depends on the version.
    own = ("max_openers", "state", "format")
    return [path for path in found if any((path.parent / name).exists() for name in own)]


def _others(etc: Path) -> tuple[Path, ...]:
    found = []
    for folder in ("modprobe.d", "modules-load.d"):
        for path in sorted((etc / folder).glob("*.conf")):
            lines = [line.strip() for line in _read(path).splitlines()]
            speaks = any("v4l2loopback" in line for line in lines if not line.startswith("#"))
            if path.stem != "obs-stylizer" and speaks:
                found.append(path)
    return tuple(found)


def _is_in_group(user: str) -> bool:
    try:
        group = grp.getgrnam("video")
        return user == "root" or group.gr_gid in os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
    except KeyError:
        return True  # a system without that group, or without that user, has other ways


def _headers() -> str:
    """Debian's and Ubuntu's package for the running kernel, one that follows its updates."""
    release = platform.release()
    flavour = release.rpartition("-")[2]
    if "ubuntu" in _read(Path("/etc/os-release")).lower():
        return f"linux-headers-{flavour if flavour.isalpha() else 'generic'}"
    return f"linux-headers-{flavour}" if flavour.isalnum() else f"linux-headers-{release}"


def _tool(name: str) -> str | None:
    # Those of root are not on everybody's path.
    return shutil.which(name) or shutil.which(name, path="/sbin:/usr/sbin")


def _succeeds(*command: str) -> bool:
    return _run(*command).returncode == 0


def _output(*command: str) -> str:
    return _run(*command).stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    program = _tool(command[0])
    if program is None:
        return subprocess.CompletedProcess(command, 127, "", "")
    return subprocess.run(
        [program, *command[1:]], capture_output=True, text=True, errors="replace", check=False
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
