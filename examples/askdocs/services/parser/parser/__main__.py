"""`python -m parser`: the service."""

from . import server
from .app import create_app

server.run(create_app())
