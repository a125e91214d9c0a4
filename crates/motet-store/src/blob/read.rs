//! Reading a blob: piece by piece, and never to its end if it is not what was written.

use bytes::{Bytes, BytesMut};
use motet_kernel::code::ErrorCode;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};
use xxhash_rust::xxh3::Xxh3;

/// How much is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// Why a blob cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlobError {
    /// Its file is not there: nothing refers to it any more, or somebody has removed it.
    #[error("the file {} is gone", .0.display())]
    Missing(PathBuf),
    /// Its bytes are not those that were written.
    #[error("the file {} is damaged: {reason}. Check the disk", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// The system does not give it now.
    #[error("the file {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system said, or that there was no room in memory in time.
        reason: Arc<str>,
    },
}

impl BlobError {
    /// The code with a page of its own.
    pub fn code(&self) -> ErrorCode {
        ErrorCode("MO-store-302")
    }

    /// Whether another try may succeed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}

/// A blob that is being read. It is open: that it is removed meanwhile changes nothing.
#[derive(Debug)]
pub struct BlobReader {
    path: PathBuf,
    /// Nothing while a piece is being read, and after a failure.
    open: Option<Open>,
}

struct Open {
    file: File,
    left: u64,
    sum: Xxh3,
    wanted: u64,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("left", &self.left).finish_non_exhaustive()
    }
}

impl BlobReader {
    /// Blocks. Finds out at once that it is missing or has another length.
    pub(super) fn open(path: PathBuf, bytes: u64, sum: u64) -> Result<Self, BlobError> {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::Missing(path)),
            opened => opened.map_err(|error| unreadable(&path, &error))?,
        };
        let length = file.metadata().map_err(|error| unreadable(&path, &error))?.len();
        if length != bytes {
            let reason = format!("it has {length} bytes, and had {bytes}").into();
            return Err(BlobError::Damaged { path, reason });
        }
        let open = Open { file, left: bytes, sum: Xxh3::new(), wanted: sum };
        Ok(Self { path, open: Some(open) })
    }

    /// The next piece, up to 256 KiB; nothing at the end. The last one comes only when the sum of all is right: whoever waits for the whole
    /// length never takes a damaged value for a whole one.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, BlobError> {
        let lost = |reason: &str| BlobError::Unreadable { path: self.path.clone(), reason: reason.into() };
        let Some(mut open) = self.open.take() else { return Err(lost("reading it has failed before")) };
        if open.left == 0 && open.sum.digest() == open.wanted {
            return Ok(None);
        }
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || open.piece(&path).map(|piece| (open, piece))).await;
        let (open, piece) = read.map_err(|error| lost(&error.to_string()))??;
        self.open = Some(open);
        Ok(Some(piece))
    }

    /// All of it. Blocks.
    pub(crate) fn whole(mut self) -> Result<Vec<u8>, BlobError> {
        let path = self.path;
        let Some(open) = self.open.as_mut() else { return Ok(Vec::new()) };
        let mut value = vec![0; usize::try_from(open.left).unwrap_or(usize::MAX)];
        open.fill(&mut value, &path)?;
        Ok(value)
    }
}

impl Open {
    fn piece(&mut self, path: &Path) -> Result<Bytes, BlobError> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        let mut piece = BytesMut::zeroed(length);
        self.fill(&mut piece, path)?;
        Ok(piece.freeze())
    }

    fn fill(&mut self, piece: &mut [u8], path: &Path) -> Result<(), BlobError> {
        self.file.read_exact(piece).map_err(|error| unreadable(path, &error))?;
        self.sum.update(piece);
        self.left -= piece.len() as u64;
        if self.left == 0 && self.sum.digest() != self.wanted {
            let reason = "its bytes are not those that were written".into();
            return Err(BlobError::Damaged { path: path.to_owned(), reason });
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> BlobError {
    BlobError::Unreadable { path: path.to_owned(), reason: error.to_string().into() }
}
