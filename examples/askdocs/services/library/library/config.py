"""What the service is told from outside, all of it through the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    database: str
    corpus: tuple[Path, ...] = ()


def from_environment() -> Config:
    folders = [Path(part) for part in os.environ.get("CORPUS_DIRS", "").split(os.pathsep) if part]
    database = os.environ.get("DATABASE_PATH", "")
    if not database:
        raise SystemExit("DATABASE_PATH is not set; Motet sets it from `store` in the definition")
    return Config(database, tuple(folders))
