"""Attacks that must fail, each named after its advisory where it has one."""
