"""Estimates of memory, disk, files and time, for ``attacca plan`` and for the resources of rules."""
