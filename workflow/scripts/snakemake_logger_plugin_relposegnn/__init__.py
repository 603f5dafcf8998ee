"""Snakemake's ``--logger relposegnn``: it looks for packages of such names."""

from relposegnn.commands.progress import LogHandler

__all__ = ["LogHandler"]
