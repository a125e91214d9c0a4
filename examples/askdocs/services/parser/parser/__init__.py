"""The parser: turns documents into passages. It hears of a document by an event, and says what is in it by events of its own.

Map: `app` (HTTP) fetches the bytes from the library and hands them to `sandbox`, which runs `worker` in a process of its own under limits; `sniff` tells the
format; `formats/` has one reader per format, each yielding the same blocks; `passages` cuts blocks into passages.
`outbox` keeps what is to be told, `migrate` makes its table.
"""
