"""The REST API and the door in front of page and API."""
