"""The parser: turns a document's bytes into passages. It keeps nothing and knows nothing of who asks.

Map: `app` (HTTP) hands the bytes to `sandbox`, which runs `worker` in a process of its own under limits; `sniff` tells the
format; `formats/` has one reader per format, each yielding the same blocks; `passages` cuts blocks into passages.
"""
