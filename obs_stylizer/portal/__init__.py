"""The portal of a Linux desktop: D-Bus calls by which a program asks the user for something.

See https://flatpak.github.io/xdg-desktop-portal/docs/.
"""
