"""`mcproxy user add|passwd|remove|list|verify|import`: the users file's keeper."""

from mcproxy.cli.user.arguments import register

__all__ = ["register"]
