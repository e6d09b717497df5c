"""Mailboxes, pacing and statistics of the live path."""
