"""Clients and checks of a server of an exported model."""
