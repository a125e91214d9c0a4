"""`python -m parser`: the service."""

from . import server
from .app import from_environment

server.run(from_environment())
