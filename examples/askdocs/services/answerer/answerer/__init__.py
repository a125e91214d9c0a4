"""The answerer: a question in, an answer with its sources out.

By default the answer is made of sentences of the documents themselves (`extractive`): always the same, and never made up. With a
language model configured, the model words it from the same passages; when the model fails, the sentences stand in.

Map: `app` (HTTP, streams), `conversation` (one question from search to answer), `callees` (index and embedder), `extractive` (choosing
sentences; pure), `sentences` (cutting text; pure), `llm` (any OpenAI-compatible server), `history` and `migrate` (what was asked).
"""
