"""A whole Wayland desktop that nobody sees: sway, PipeWire, WirePlumber, portals, on its own bus.

Each part can be killed and started again. Made for Debian 12 and 13, also as root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.portal import listens

PROGRAMS = ("dbus-daemon", "pipewire", "wireplumber", "sway", "unshare")
PORTALS = tuple(
    Path("/usr/libexec") / name
    for name in ("xdg-desktop-portal", "xdg-desktop-portal-wlr", "xdg-permission-store")
)
HERE = Path(__file__).resolve().parent
UP_SECONDS = 15.0

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><keep_umask/><listen>unix:path={run}/bus</listen><auth>EXTERNAL</auth>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""

# No sound, no real cameras, no Bluetooth: WirePlumber 0.4 and 0.5 are each told in their way.
_WIREPLUMBER_0_4 = """alsa_monitor.enabled = false
v4l2_monitor.enabled = false
libcamera_monitor.enabled = false
"""
_MONITORS = (
    *("monitor.alsa", "monitor.alsa-midi", "monitor.bluez", "monitor.bluez-midi"),
    *("monitor.v4l2", "monitor.libcamera", "support.logind", "support.reserve-device"),
)

_SWAY = """output HEADLESS-1 mode {width}x{height}@60Hz
output HEADLESS-1 bg #203040 solid_color
default_border none
seat * hide_cursor 0
"""

_WLR_PORTAL = """[portal]
DBusName=org.freedesktop.impl.portal.desktop.wlr
Interfaces=org.freedesktop.impl.portal.ScreenCast;
UseIn=sway;
"""
_FAKE_PORTAL = """[portal]
DBusName=org.freedesktop.impl.portal.desktop.fake
Interfaces=org.freedesktop.impl.portal.Access;org.freedesktop.impl.portal.GlobalShortcuts;
UseIn=sway;
"""


def missing() -> str:
    """What is needed for it and not here; "" if everything is."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    absent += [path.name for path in PORTALS if not path.exists()]
    return " and ".join(absent)


def missing_for_pipewire() -> str:
    """What is needed for PipeWire alone and not here; "" if everything is."""
    absent = [name for name in PROGRAMS[:3] if shutil.which(name) is None]
    return " and ".join(absent)


@dataclass
class WaylandDesktop:
    """Its processes, by name: bus, pipewire, wireplumber, sway, proxy, store, wlr, fake, portal."""

    folder: Path
    size: tuple[int, int] = (1280, 720)
    environment: dict[str, str] = field(default_factory=dict)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def run_folder(self) -> Path:
        return self.folder / "run"

    def configure(self) -> None:
        """Write all settings, and make the environment for what runs on the desktop."""
        run, config = self.run_folder, self.folder / "config"
        run.mkdir(mode=0o700)
        for name in ("logs", "services", "portals", "data/applications", "state", "cache"):
            (self.folder / name).mkdir(parents=True)
        monitors = " ".join(f"{name} = disabled" for name in _MONITORS)
        files = {
            "wireplumber/main.lua.d/51-headless.lua": _WIREPLUMBER_0_4,
            "wireplumber/bluetooth.lua.d/51-headless.lua": "bluez_monitor.enabled = false\n",
            "wireplumber/wireplumber.conf.d/51-headless.conf": (
                f"wireplumber.profiles = {{ main = {{ {monitors} }} }}\n"
            ),
            "xdg-desktop-portal/portals.conf": (
                "[preferred]\ndefault=fake\norg.freedesktop.impl.portal.ScreenCast=wlr\n"
            ),
            "xdg-desktop-portal-wlr/config": (
                "[screencast]\noutput_name=HEADLESS-1\nmax_fps=60\nchooser_type=none\n"
            ),
            "sway/config": _SWAY.format(width=self.size[0], height=self.size[1]),
        }
        for name, text in files.items():
            path = config / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        (self.folder / "bus.conf").write_text(
            _BUS.format(run=run, services=self.folder / "services"), "utf-8"
        )
        (self.folder / "portals" / "wlr.portal").write_text(_WLR_PORTAL, "utf-8")
        (self.folder / "portals" / "fake.portal").write_text(_FAKE_PORTAL, "utf-8")
        os.mkfifo(self.folder / "keys")
        self.environment = {
            "XDG_RUNTIME_DIR": str(run),
            "PIPEWIRE_RUNTIME_DIR": str(run),
            "XDG_CONFIG_HOME": str(config),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_SESSION_TYPE": "wayland",
            "XDG_CURRENT_DESKTOP": "sway",
            "XDG_DESKTOP_PORTAL_DIR": str(self.folder / "portals"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={run}/bus",
            "WLR_BACKENDS": "headless",
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_RENDERER": "pixman",
            "WLR_RENDERER_ALLOW_SOFTWARE": "1",
            "LIBSEAT_BACKEND": "noop",
            "NO_AT_BRIDGE": "1",
            "GTK_A11Y": "none",
            "GIO_USE_VFS": "local",
            "GSETTINGS_BACKEND": "memory",
        }

    def start_pipewire(self) -> None:
        """Start the bus, PipeWire and its session manager, which is all a camera needs."""
        self.start_bus()
        self.start("pipewire")
        self.start("wireplumber")

    def start_all(self) -> None:
        """Start everything, each part when what it needs is there."""
        self.start_pipewire()
        for name in ("sway", "store", "proxy", "wlr", "fake", "portal"):
            self.start(name)

    def start_bus(self) -> None:
        self._spawn("bus", ["dbus-daemon", "--nofork", "--nopidfile", "--config-file", "bus.conf"])
        wait_for("the bus", lambda: listens(self.run_folder / "bus"))

    def start(self, name: str) -> None:
        """Start one part, for the first time or again, and return when it answers."""
        getattr(self, f"_start_{name}")()

    def kill(self, *names: str) -> None:
        """End parts without their notice."""
        for name in names:
            child = self.children.pop(name)
            child.kill()
            child.wait()

    def end(self) -> None:
        """End everything, the last first."""
        for child in reversed(self.children.values()):
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children.clear()

    def press(self, *lines: str) -> None:
        """Have the fake desktop say ``activate ID`` or ``deactivate ID``, or do ``close``."""
        with (self.folder / "keys").open("w", encoding="utf-8") as keys:
            keys.write("".join(f"{line}\n" for line in lines))

    def log(self, name: str) -> str:
        """All that a part printed."""
        return (self.folder / "logs" / f"{name}.log").read_text("utf-8", "replace")

    def _start_pipewire(self) -> None:
        socket = self.run_folder / "pipewire-0"
        socket.unlink(missing_ok=True)
        self._spawn("pipewire", ["pipewire"])
        wait_for("PipeWire", lambda: listens(socket))

    def _start_wireplumber(self) -> None:
        self._spawn("wireplumber", ["wireplumber"])

    def _start_sway(self) -> None:
        for old in (*self.run_folder.glob("wayland-?*"), *self.run_folder.glob("sway-ipc.*")):
            old.unlink()
        # Sway refuses to run as root; in a user namespace of its own it does not know that it does.
        disguise = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
        self._spawn("sway", [*(disguise if os.getuid() == 0 else []), "sway", "--unsupported-gpu"])
        wait_for("sway", lambda: any(self.run_folder.glob("sway-ipc.*")))
        wait_for("sway's display", lambda: any(self.run_folder.glob("wayland-?")))
        self.environment["WAYLAND_DISPLAY"] = next(self.run_folder.glob("wayland-?")).name
        self.environment["SWAYSOCK"] = str(next(self.run_folder.glob("sway-ipc.*")))

    def _start_store(self) -> None:
        self._spawn("store", [str(PORTALS[2])])
        self.wait_for_name("org.freedesktop.impl.portal.PermissionStore")

    def _start_proxy(self) -> None:
        compositor = self.run_folder / self.environment["WAYLAND_DISPLAY"]
        stand_in = self.run_folder / "wayland-proxy"
        stand_in.unlink(missing_ok=True)
        script = str(HERE / "screencopy_proxy.py")
        self._spawn("proxy", [sys.executable, script, str(compositor), str(stand_in)])
        wait_for("the proxy", stand_in.exists)

    def _start_wlr(self) -> None:
        # It starts again as soon as its compositor is there, as systemd would have it.
        self._spawn("wlr", [str(PORTALS[1]), "-l", "INFO"], WAYLAND_DISPLAY="wayland-proxy")
        self.wait_for_name("org.freedesktop.impl.portal.desktop.wlr")

    def _start_fake(self) -> None:
        keys = os.open(self.folder / "keys", os.O_RDWR)
        self._spawn("fake", [sys.executable, str(HERE / "back_end.py")], stdin=keys)
        os.close(keys)
        self.wait_for_name("org.freedesktop.impl.portal.desktop.fake")

    def _start_portal(self) -> None:
        self._spawn("portal", [str(PORTALS[0]), "-v"])
        self.wait_for_name("org.freedesktop.portal.Desktop")
        wait_for("the portal", self._portal_answers)

    def _spawn(
        self,
        name: str,
        command: list[str],
        stdin: int = subprocess.DEVNULL,
        **more: str,
    ) -> None:
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                command,
                env=self._whole_environment(more),
                cwd=self.folder,
                stdin=stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _whole_environment(self, more: Mapping[str, str]) -> dict[str, str]:
        own = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")
        }
        return {**own, **self.environment, **more}

    def wait_for_name(self, name: str) -> None:
        """Return when somebody has this name on the bus."""
        wait_for(name, lambda: "boolean true" in self._ask_bus("NameHasOwner", f"string:{name}"))

    def _portal_answers(self) -> bool:
        arguments = ["string:org.freedesktop.portal.ScreenCast", "string:version"]
        return "uint32" in self._dbus_send(
            "org.freedesktop.portal.Desktop",
            "/org/freedesktop/portal/desktop",
            "org.freedesktop.DBus.Properties.Get",
            *arguments,
        )

    def _ask_bus(self, member: str, *arguments: str) -> str:
        name = "org.freedesktop.DBus"
        return self._dbus_send(name, "/", f"{name}.{member}", *arguments)

    def _dbus_send(self, name: str, path: str, member: str, *arguments: str) -> str:
        command = ["dbus-send", "--session", "--print-reply", f"--dest={name}", path, member]
        return subprocess.run(
            [*command, *arguments],
            env=self._whole_environment({}),
            capture_output=True,
            text=True,
            check=False,
        ).stdout


def wait_for(what: str, condition: Callable[[], object], seconds: float = UP_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


@contextmanager
def wayland_desktop(folder: Path, *, whole: bool = True) -> Iterator[WaylandDesktop]:
    """Run a desktop, or of it no more than PipeWire; its folder's path must be short."""
    desktop = WaylandDesktop(folder)
    desktop.configure()
    try:
        if whole:
            desktop.start_all()
        else:
            desktop.start_pipewire()
        yield desktop
    finally:
        desktop.end()
