"""Indexes the tokens in FOLDER with infini-gram and asks what questions.json holds; writes infini_gram.json."""

import json
import os
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

folder = Path(sys.argv[1]).resolve()
index = folder / "infini-gram"
built = folder / "infini_gram_build.json"
questions = json.loads((folder / "questions.json").read_text())

if not built.exists():
    (folder / "empty").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "infini_gram.indexing", "--data_dir", str(folder / "empty"), "--save_dir", str(index),
               "--token_dtype", "u16", "--version", "4", "--add_metadata", "--cpus", "2", "--mem", "8", "--ulimit", "4096"]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr)
    wall = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    built.write_text(json.dumps({"build_wall_s": wall, "build_cpu_s": usage.ru_utime + usage.ru_stime}))

from infini_gram.engine import InfiniGramEngine

engine = InfiniGramEngine(index_dir=str(index), eos_token_id=65534, vocab_size=65535, version=4, token_dtype="u16")
spans_ms, with_documents_ms = [], []
for number, answer in enumerate(questions["warm_up"] + questions["answers"]):
    start = time.perf_counter()
    spans = engine.attribute(input_ids=answer, delim_ids=[], min_len=5, max_cnt=8, enforce_bow=False)["spans"]
    found = time.perf_counter()
    requests = [(doc["s"], doc["ptr"], span["length"], 0) for span in spans for doc in span["docs"]]
    documents = engine.get_docs_by_ptrs_2(requests)
    end = time.perf_counter()
    assert len(documents) == len(requests)
    if number >= len(questions["warm_up"]):
        spans_ms.append((found - start) * 1e3)
        with_documents_ms.append((end - start) * 1e3)

measured = json.loads(built.read_text())
measured |= {
    "version": version("infini-gram"),
    "index_bytes": sum(file.stat().st_size for file in index.iterdir()),
    "spans_ms": spans_ms,
    "with_documents_ms": with_documents_ms,
    "counts": [engine.count(input_ids=ngram)["count"] for ngram in questions["ngrams"]],
}
(folder / "infini_gram.json").write_text(json.dumps(measured))
