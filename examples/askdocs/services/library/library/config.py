"""What the service is told from outside, all of it through the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Config:
    database: str
    parser_url: str
    index_url: str
    corpus: tuple[Path, ...] = ()


def from_environment() -> Config:
    folders = [Path(part) for part in os.environ.get("CORPUS_DIRS", "").split(os.pathsep) if part]
    return Config(_needed("DATABASE_PATH"), _needed("PARSER_URL"), _needed("INDEX_URL"), tuple(folders))


def _needed(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SystemExit(f"{name} is not set; Motet sets it from `store` and `uses` in the definition")
    return value
