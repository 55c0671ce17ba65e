"""Clients for a server of an exported model, and checks of its answers."""
