"""`python -m answerer`: the service."""

from . import server
from .app import create_app
from .config import from_environment

server.run(create_app(from_environment()))
