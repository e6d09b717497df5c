"""What hotkeys ask of Windows, asked of the real one by ctypes.

Written from Microsoft's documentation of RegisterHotKey, GetAsyncKeyState and message queues;
not run on Windows yet.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes
from typing import Final

assert sys.platform == "win32"

_MOD_NOREPEAT: Final = 0x4000
_WM_HOTKEY: Final = 0x0312
_WM_APP: Final = 0x8000
_PM_NOREMOVE: Final = 0
_PM_REMOVE: Final = 1
_QS_ALLINPUT: Final = 0x04FF
_IS_DOWN: Final = 0x8000


class User32:
    """See :class:`obs_stylizer.control.hotkeys.windows_api.WindowsApi`."""

    def __init__(self) -> None:
        self._user32 = ctypes.WinDLL("user32", use_last_error=True)
        self._kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        self._user32.RegisterHotKey.argtypes = (
            wintypes.HWND,
            ctypes.c_int,
            wintypes.UINT,
            wintypes.UINT,
        )
        self._user32.RegisterHotKey.restype = wintypes.BOOL
        self._user32.UnregisterHotKey.argtypes = (wintypes.HWND, ctypes.c_int)
        self._user32.UnregisterHotKey.restype = wintypes.BOOL
        self._user32.PeekMessageW.argtypes = (
            ctypes.POINTER(wintypes.MSG),
            wintypes.HWND,
            wintypes.UINT,
            wintypes.UINT,
            wintypes.UINT,
        )
        self._user32.PeekMessageW.restype = wintypes.BOOL
        self._user32.PostThreadMessageW.argtypes = (
            wintypes.DWORD,
            wintypes.UINT,
            wintypes.WPARAM,
            wintypes.LPARAM,
        )
        self._user32.PostThreadMessageW.restype = wintypes.BOOL
        self._user32.MsgWaitForMultipleObjects.argtypes = (
            wintypes.DWORD,
            ctypes.c_void_p,
            wintypes.BOOL,
            wintypes.DWORD,
            wintypes.DWORD,
        )
        self._user32.MsgWaitForMultipleObjects.restype = wintypes.DWORD
        self._user32.GetAsyncKeyState.argtypes = (ctypes.c_int,)
        self._user32.GetAsyncKeyState.restype = wintypes.SHORT
        self._kernel32.GetCurrentThreadId.argtypes = ()
        self._kernel32.GetCurrentThreadId.restype = wintypes.DWORD
        self._message = wintypes.MSG()
        self._thread = 0

    def begin(self) -> None:
        """Make the thread one that can be sent messages."""
        # A thread has a message queue from its first reading of it.
        self._user32.PeekMessageW(ctypes.byref(self._message), None, 0, 0, _PM_NOREMOVE)
        self._thread = self._kernel32.GetCurrentThreadId()

    def register(self, number: int, modifiers: int, key: int) -> int:
        """Ask for a combination; returns 0, or the number of the error."""
        if self._user32.RegisterHotKey(None, number, modifiers | _MOD_NOREPEAT, key):
            return 0
        return ctypes.get_last_error() or -1

    def unregister(self, number: int) -> None:
        """Give a combination back."""
        self._user32.UnregisterHotKey(None, number)

    def wait(self, seconds: float) -> list[int]:
        """Wait for a press or a wake-up; returns the numbers of what was pressed."""
        milliseconds = max(0, round(1000 * seconds))
        pressed = self._messages()
        if not pressed:
            # It wakes only for messages that came since the last time.
            self._user32.MsgWaitForMultipleObjects(0, None, False, milliseconds, _QS_ALLINPUT)
            pressed = self._messages()
        return pressed

    def _messages(self) -> list[int]:
        pressed = []
        message = self._message
        while self._user32.PeekMessageW(ctypes.byref(message), None, 0, 0, _PM_REMOVE):
            if message.message == _WM_HOTKEY:
                pressed.append(int(message.wParam))
        return pressed

    def wake(self) -> None:
        """End the wait of the other thread."""
        if self._thread:
            self._user32.PostThreadMessageW(self._thread, _WM_APP, 0, 0)

    def is_down(self, key: int) -> bool:
        """Whether a key is held now."""
        return bool(self._user32.GetAsyncKeyState(key) & _IS_DOWN)
