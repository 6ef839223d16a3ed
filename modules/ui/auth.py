"""Who may log in on the page: the server's one list of users."""

from modules.api.auth import logins

__all__ = ["logins"]
