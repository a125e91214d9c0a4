"""One reader per format. Each has `read(data, charset) -> Extract` and knows nothing of the others or of passages."""
