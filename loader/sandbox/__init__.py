"""The same API on this machine: what `loader sandbox` serves.

It shares the contract (`schema`, `wire`) with the loader, and none of its behaviour.
"""
