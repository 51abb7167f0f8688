"""Kopf's room: events come in here and nothing else happens."""
