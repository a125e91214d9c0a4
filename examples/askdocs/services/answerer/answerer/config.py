"""What the service is told from outside, all of it through the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A language model behind an OpenAI-compatible server; `base_url` with or without `/v1`."""

    base_url: str
    name: str
    key: str | None = None


@dataclass(frozen=True)
class Config:
    database: str
    index_url: str
    embedder_url: str
    model: Model | None = None


def from_environment() -> Config:
    model = None
    if base_url := os.environ.get("LLM_BASE_URL"):
        if not os.environ.get("LLM_MODEL"):
            raise SystemExit("LLM_BASE_URL is set and LLM_MODEL is not; say which model is to answer")
        model = Model(base_url, os.environ["LLM_MODEL"], os.environ.get("LLM_API_KEY") or None)
    return Config(_needed("DATABASE_PATH"), _needed("INDEX_URL"), _needed("EMBEDDER_URL"), model)


def _needed(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SystemExit(f"{name} is not set; Motet sets it from `store` and `uses` in the definition")
    return value
