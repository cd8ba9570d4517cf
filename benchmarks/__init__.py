"""Orfevre beside its peers: each benchmark times both in one run, in turns, and prints their ratio."""
