//! Reads server-sent events (WHATWG HTML, section 9.2) out of chunks of bytes, for the typed client: only the fields that the control API
//! writes, `event` and `data`.

/// The longest event that the control API sends is a system's state; a peer that sends more is not one.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// An event grew beyond every bound.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {EVENT_BYTES_MAX} bytes")]
pub(crate) struct TooLong;

/// Collects bytes until they make an event.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Takes the next bytes of the stream; returns the events that are complete with them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            events.extend(parse(&String::from_utf8_lossy(&block)));
        }
        if self.buffer.len() > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(events) }
    }
}

fn parse(block: &str) -> Option<Event> {
    let mut name = String::new();
    let mut data: Vec<&str> = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data.push(value),
            _ => {}
        }
    }
    (!data.is_empty()).then(|| Event { name, data: data.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_wherever_the_chunks_are_cut() {
        let text = ": keep-alive\n\nevent: line\ndata: {\"a\":1}\n\ndata: x\ndata: y\n\n".as_bytes();
        for cut in 0..text.len() {
            let mut reader = Reader::default();
            let mut events = reader.push(&text[..cut]).expect("short");
            events.extend(reader.push(&text[cut..]).expect("short"));
            assert_eq!(
                events,
                [
                    Event { name: "line".into(), data: "{\"a\":1}".into() },
                    Event { name: String::new(), data: "x\ny".into() }
                ]
            );
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = Reader::default();
        let chunk = vec![b'x'; 1024 * 1024];
        let refused = (0..17).any(|_| reader.push(&chunk).is_err());
        assert!(refused);
    }
}
