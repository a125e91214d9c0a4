"""`python -m library`: the service."""

from . import server
from .app import create_app
from .config import from_environment

app = create_app(from_environment())
server.run(app, on_stop=app.state.changes.close)
