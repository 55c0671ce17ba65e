"""Guides: scripts in percent format, to read, run, or open as notebooks."""
