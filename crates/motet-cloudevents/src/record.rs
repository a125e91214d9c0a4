//! An event on disk: compact, versioned, quick to write and to read.
//!
//! A record is `version (1 byte) | flags (1 byte) | length of the attributes (2 bytes) | attributes | data`. Numbers are little-endian.
//! The data goes to the end of the record: whoever stores records knows their lengths. Attributes are in [`packed`] form, which is also how
//! an [`Event`] holds them, so writing is two copies, and reading is one check and no copy: the event refers to the record's memory.
//!
//! Nothing here has a checksum: the store that keeps records has one. What is checked is what accessors rely on, so that no bytes, however
//! damaged, make one of them panic.

pub(crate) mod packed;

use crate::{error::InvalidRecord, event::Event};
use bytes::{BufMut, Bytes};

/// What a record of this form begins with.
const VERSION: u8 = 1;

/// The event has data, though it may be empty.
const HAS_DATA: u8 = 1;

/// Version, flags, length of the attributes.
const PREFIX: usize = 4;

impl Event {
    /// How many bytes [`Event::write_record`] writes.
    pub fn record_len(&self) -> usize {
        PREFIX + self.size()
    }

    /// Appends the event in the form in which it is stored.
    pub fn write_record(&self, out: &mut impl BufMut) {
        let attributes = self.packed();
        // `ATTRIBUTES_BYTES_MAX` is far below what two bytes can say.
        let length = u16::try_from(attributes.len()).unwrap_or(u16::MAX);
        out.put_slice(&[VERSION, if self.data().is_some() { HAS_DATA } else { 0 }]);
        out.put_u16_le(length);
        out.put_slice(attributes);
        out.put_slice(self.data().map_or(&[], |data| data));
    }

    /// Reads what [`Event::write_record`] wrote, without copying: the event keeps the record's memory alive.
    pub fn read_record(record: &Bytes) -> Result<Self, InvalidRecord> {
        let &[version, flags, low, high, ..] = &record[..] else {
            return Err(InvalidRecord { reason: "it is shorter than any record" });
        };
        if version != VERSION {
            return Err(InvalidRecord { reason: "it is of a version that this motet does not know" });
        }
        if flags & !HAS_DATA != 0 {
            return Err(InvalidRecord { reason: "it has a flag that this motet does not know" });
        }
        let end = PREFIX + usize::from(u16::from_le_bytes([low, high]));
        if end > record.len() {
            return Err(InvalidRecord { reason: "it ends within its attributes" });
        }
        let attributes = record.slice(PREFIX..end);
        packed::check(&attributes)?;
        let data = match flags & HAS_DATA {
            0 if record.len() > end => return Err(InvalidRecord { reason: "it has bytes behind its end" }),
            0 => None,
            _ => Some(record.slice(end..)),
        };
        Ok(Self::from_packed(attributes, data))
    }
}
