"""The package's version, in one place; every file that a step makes records it."""

VERSION = "0.2.0"
