"""How well does retrieval find? Asks questions whose answers are known, and fails when it finds less than it used to.

    python3 evaluation/evaluate.py            # needs `cargo build --release` and services/embedder/fetch-model.sh
    python3 evaluation/evaluate.py --details  # also prints which questions were not answered among the first five
    python3 evaluation/evaluate.py --update   # takes what was measured as the new baseline

It starts embedder and index on ports of their own, cuts Motet's book into passages with the parser's code, carries the events
between them as Motet would (and nobody else: there is no broker here), and asks each question of questions.jsonl three times: by words and meaning, by words alone, by meaning alone. A question counts
as answered by a passage of (one of) its documents under (one of) its headings.

Which pages of the book: those of corpus.txt. All questions were written for them; with each page that the book gains, the same
retrieval would look a little worse. Whoever writes questions about a new page adds it.

    hit@5    share of questions with such a passage among the first five
    MRR@10   mean of 1 / rank of the first such passage, 0 beyond the tenth
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ASKDOCS = HERE.parent
sys.path.insert(0, str(ASKDOCS / "services" / "parser"))

from parser.formats import markdown  # noqa: E402
from parser.passages import HEADING_SEPARATOR, cut  # noqa: E402

MODES = ("hybrid", "text", "vector")
CALL_SECONDS = 300


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--programs", type=Path, default=_target() / "release", help="where embedder and index are")
    options.add_argument("--corpus", type=Path, default=ASKDOCS.parent.parent / "docs", help="a folder of Markdown files")
    options.add_argument("--details", action="store_true", help="print the questions that were not answered")
    options.add_argument("--update", action="store_true", help="write what was measured to baseline.json")
    asked = options.parse_args()

    questions = [json.loads(line) for line in (HERE / "questions.jsonl").read_text().splitlines()]
    corpus = {name: _parse(asked.corpus / name) for name in (HERE / "corpus.txt").read_text().split()}
    _answerable(questions, corpus)
    with _running(asked.programs.resolve()) as (embedder, index, outbox):
        for name, document in corpus.items():
            _deliver(f"{embedder}/on/document-parsed", "document.parsed.v1", _parts(name, document))
        _deliver(f"{index}/on/documents", "document.embedded.v1", _told(outbox))
        ranks = {mode: [_rank(index, question, mode) for question in questions] for mode in MODES}
    measured = {mode: {"hit@5": _hit(ranks[mode]), "mrr@10": _mrr(ranks[mode])} for mode in MODES}

    passages = sum(len(document["passages"]) for document in corpus.values())
    print(f"{len(questions)} questions over {len(corpus)} documents, {passages} passages")
    print(f"{'':8}{'hit@5':>8}{'MRR@10':>8}")
    for mode in MODES:
        print(f"{mode:8}{measured[mode]['hit@5']:8.3f}{measured[mode]['mrr@10']:8.3f}")
    if asked.details:
        for number, question in enumerate(questions):
            at = {mode: ranks[mode][number] for mode in MODES}
            if not at["hybrid"] or at["hybrid"] > 5:
                print(f"  not among the first five: {question['question']} {at}")
    baseline = HERE / "baseline.json"
    if asked.update:
        baseline.write_text(json.dumps(_new_baseline(measured), indent=2) + "\n")
    return _verdict(measured["hybrid"], measured, json.loads(baseline.read_text()))


def _parse(path: Path) -> dict:
    extract = markdown.read(path.read_bytes(), "utf-8")
    return {"title": extract.title or path.stem, "source": path.name, "passages": cut(extract)}


def _parts(name: str, document: dict) -> list[dict]:
    """As the parser tells of it, in parts of sixteen passages."""
    passages = document["passages"]
    parts = [passages[start : start + 16] for start in range(0, len(passages), 16)]
    common = {"document": name, "version": 1, "name": name, "title": document["title"], "passages": len(passages), "parts": len(parts)}
    return [{**common, "part": part, "items": items} for part, items in enumerate(parts)]


def _told(outbox: str) -> list[dict]:
    with contextlib.closing(sqlite3.connect(outbox)) as store:
        return [json.loads(data) for (data,) in store.execute("SELECT data FROM outbox ORDER BY seq")]


def _deliver(url: str, kind: str, events: list[dict]) -> None:
    for start in range(0, len(events), 10):
        batch = [{"specversion": "1.0", "type": kind, "data": data} for data in events[start : start + 10]]
        refused = [result for result in _call("POST", url, batch)["results"] if result["status"] != 204]
        if refused:
            sys.exit(f"{url}: {refused[0]}")


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _answers(question: dict, document: str, heading: str | None) -> bool:
    if document not in _listed(question["document"]):
        return False
    parts = (heading or "").split(HEADING_SEPARATOR)
    return any(part.startswith(wanted) for part in parts for wanted in _listed(question["heading"]))


def _answerable(questions: list[dict], corpus: dict[str, dict]) -> None:
    """A question whose answer has left the book measures nothing: whoever moved it corrects the question."""
    lost = [
        question["question"]
        for question in questions
        if not any(
            _answers(question, name, passage["heading"]) for name, document in corpus.items() for passage in document["passages"]
        )
    ]
    if lost:
        sys.exit("no passage of the corpus has the document and heading of:\n  " + "\n  ".join(lost))


def _rank(index: str, question: dict, mode: str) -> int | None:
    found = _call("POST", f"{index}/search", {"query": question["question"], "limit": 10, "mode": mode})
    if found["degraded"]:
        sys.exit(f"the search was not what was asked for: {found['reason']}")
    ranks = (n for n, hit in enumerate(found["hits"], 1) if _answers(question, hit["document"], hit["heading"]))
    return next(ranks, None)


def _hit(ranks: list[int | None]) -> float:
    return round(sum(1 for rank in ranks if rank and rank <= 5) / len(ranks), 4)


def _mrr(ranks: list[int | None]) -> float:
    return round(sum(1 / rank for rank in ranks if rank) / len(ranks), 4)


def _new_baseline(measured: dict) -> dict:
    """A little below what was measured: the book changes, and two questions more or less are no change for the worse."""
    least = {name: round(value - 0.05, 2) for name, value in measured["hybrid"].items()}
    return {"least": least, "margin_below_either_half": 0.03, "measured": measured}


def _verdict(hybrid: dict, measured: dict, baseline: dict) -> int:
    wrong = [
        f"hybrid {name} is {hybrid[name]:.3f}, at least {least:.3f} is wanted"
        for name, least in baseline["least"].items()
        if hybrid[name] < least
    ]
    margin = baseline["margin_below_either_half"]
    for half in ("text", "vector"):
        if hybrid["mrr@10"] < measured[half]["mrr@10"] - margin:
            wrong.append(f"hybrid MRR@10 is more than {margin} below that of {half} alone: the fusion does harm")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def _target() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", ASKDOCS / "target"))


@contextlib.contextmanager
def _running(programs: Path) -> Iterator[tuple[str, str, str]]:
    """Embedder and index, with stores that are thrown away; gives their addresses, and the embedder's store."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="evaluation-"))
        outbox = str(Path(folder, "embedder.sqlite"))
        here = ASKDOCS / "services" / "embedder"
        embedder = stack.enter_context(_program(programs / "embedder", here, {"DATABASE_PATH": outbox}))
        settings = {"EMBEDDER_URL": embedder, "DATABASE_PATH": str(Path(folder, "index.sqlite"))}
        yield embedder, stack.enter_context(_program(programs / "index", Path(folder), settings)), outbox


@contextlib.contextmanager
def _program(program: Path, folder: Path, settings: dict[str, str]) -> Iterator[str]:
    if not program.exists():
        sys.exit(f"{program} is not there: run `cargo build --release` in {ASKDOCS}")
    environment = {**os.environ, **settings, "PORT": "0", "FAULT": ""}
    running = subprocess.Popen([program], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        said = []
        for line in running.stdout:
            said.append(line)
            if "is ready on " in line:
                break
        else:
            sys.exit(f"{program.name} did not start:\n{''.join(said)}")
        # The rest of its log is of no interest, but has to be read: a full pipe would stop it.
        threading.Thread(target=running.stdout.read, daemon=True).start()
        yield "http://" + said[-1].split("is ready on ")[1].strip()
    finally:
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()


def _call(method: str, url: str, body: dict | list) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {url}: {error.code} {error.read().decode()}")


if __name__ == "__main__":
    sys.exit(main())
