//! The directory of one store, and the two habits that keep it safe: everything in it is for the owner's eyes only, and a
//! file changes by being written beside and renamed, so that a kill at any line leaves the old file or the new one.

use crate::error::{FileTrouble, StoreError, TooLate};
use motet_kernel::name::ServiceName;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

const DIRECTORY_RIGHTS: u32 = 0o700;
const FILE_RIGHTS: u32 = 0o600;

/// How long an operation waits for another one on the same store to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Where one service's store keeps its files: `<state>/stores/<service>/`.
#[derive(Debug, Clone)]
pub struct Place {
    stores: PathBuf,
    service: ServiceName,
}

/// The right to change a store; ends when it is dropped, or when the process dies.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read: the lock ends with the file")] File);

impl Place {
    /// The place of a service's store below the state directory of its system.
    pub fn of(state: &Path, service: &ServiceName) -> Self {
        Self { stores: state.join("stores"), service: service.clone() }
    }

    /// The directory.
    pub fn directory(&self) -> PathBuf {
        self.stores.join(self.service.as_str())
    }

    /// A file in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// Makes the directory if it is missing, and takes everybody else's rights away if it has been opened up.
    pub fn prepare(&self) -> Result<(), FileTrouble> {
        for directory in [&self.stores, &self.directory()] {
            let trouble = |source| FileTrouble { action: "create", path: directory.clone(), source };
            DirBuilder::new().recursive(true).mode(DIRECTORY_RIGHTS).create(directory).map_err(trouble)?;
            restrict(directory, DIRECTORY_RIGHTS)?;
        }
        Ok(())
    }

    /// Waits up to ten seconds until nobody else changes this store, in this process or another.
    ///
    /// The lock file stands beside the directory, so that removing the store does not remove the lock from under a waiter.
    pub async fn lock(&self) -> Result<Lock, StoreError> {
        self.prepare_stores()?;
        let path = self.stores.join(format!(".{}.lock", self.service));
        let trouble = |source| FileTrouble { action: "lock", path: path.clone(), source };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_RIGHTS)
            .open(&path)
            .map_err(trouble)?;
        let patience = tokio::time::sleep(LOCK_PATIENCE);
        tokio::pin!(patience);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(trouble(source).into()),
            }
            tokio::select! {
                () = &mut patience => {
                    let action = format!("waiting for another operation on the store of `{}`", self.service);
                    return Err(TooLate { action, limit: LOCK_PATIENCE }.into());
                }
                () = tokio::time::sleep(LOCK_INTERVAL) => {}
            }
        }
    }

    fn prepare_stores(&self) -> Result<(), FileTrouble> {
        let trouble = |source| FileTrouble { action: "create", path: self.stores.clone(), source };
        DirBuilder::new().recursive(true).mode(DIRECTORY_RIGHTS).create(&self.stores).map_err(trouble)?;
        restrict(&self.stores, DIRECTORY_RIGHTS)
    }

    /// Reads a file; `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FileTrouble> {
        let path = self.file(name);
        match fs::read(&path) {
            Ok(content) => {
                restrict(&path, FILE_RIGHTS)?;
                Ok(Some(content))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FileTrouble { action: "read", path, source }),
        }
    }

    /// Writes a file that is on disk, whole, when this returns.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), FileTrouble> {
        let (path, beside) = (self.file(name), self.file(&format!("{name}.new")));
        let trouble = |source| FileTrouble { action: "write", path: beside.clone(), source };
        remove_file(&beside)?;
        let mut file = create_private(&beside)?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(trouble)?;
        replace(&beside, &path)
    }

    /// Removes the directory with everything in it.
    pub fn remove(&self) -> Result<(), FileTrouble> {
        let path = self.directory();
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(FileTrouble { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}

/// Makes a new file that only its owner may read, and fails if there is one.
pub fn create_private(path: &Path) -> Result<File, FileTrouble> {
    let trouble = |source| FileTrouble { action: "create", path: path.to_owned(), source };
    OpenOptions::new().write(true).create_new(true).mode(FILE_RIGHTS).open(path).map_err(trouble)
}

/// Takes everybody else's rights away, if they have any.
pub fn restrict_file(path: &Path) -> Result<(), FileTrouble> {
    restrict(path, FILE_RIGHTS)
}

fn restrict(path: &Path, rights: u32) -> Result<(), FileTrouble> {
    let trouble = |source| FileTrouble { action: "restrict the rights of", path: path.to_owned(), source };
    let found = fs::metadata(path).map_err(trouble)?.permissions().mode();
    if found & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), rights = %format!("{:o}", found & 0o777), "others had rights on a store, taken away");
    fs::set_permissions(path, Permissions::from_mode(rights)).map_err(trouble)
}

/// Removes a file that may be missing.
pub fn remove_file(path: &Path) -> Result<(), FileTrouble> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileTrouble { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Renames over an existing file and makes the rename durable.
pub fn replace(from: &Path, to: &Path) -> Result<(), FileTrouble> {
    let trouble = |source| FileTrouble { action: "replace", path: to.to_owned(), source };
    fs::rename(from, to).map_err(trouble)?;
    sync_directory_of(to)
}

/// Renames to a name that must be free, and makes the rename durable. A link first, because a rename would replace.
pub fn publish(from: &Path, to: &Path) -> Result<(), FileTrouble> {
    let trouble = |source| FileTrouble { action: "create", path: to.to_owned(), source };
    match fs::hard_link(from, to) {
        Ok(()) => remove_file(from)?,
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => return Err(trouble(source)),
        // Some file systems, those of USB sticks among them, have no links: looking first is the best that they allow.
        Err(_) if to.symlink_metadata().is_err() => fs::rename(from, to).map_err(trouble)?,
        Err(source) => return Err(trouble(source)),
    }
    sync_directory_of(to)
}

/// Makes what happened to the names in a file's directory durable.
pub fn sync_directory_of(path: &Path) -> Result<(), FileTrouble> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let trouble = |source| FileTrouble { action: "sync", path: directory.to_owned(), source };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(state: &Path) -> Place {
        Place::of(state, &"library".parse().expect("name"))
    }

    fn rights(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").permissions().mode() & 0o777
    }

    #[test]
    fn directory_and_files_are_for_the_owner_only_even_after_somebody_opened_them_up() {
        let state = tempfile::tempdir().expect("directory");
        let place = place(state.path());
        place.prepare().expect("prepared");
        place.write("credentials.json", b"{}").expect("written");
        assert_eq!((rights(&place.directory()), rights(&place.file("credentials.json"))), (0o700, 0o600));

        fs::set_permissions(place.directory(), Permissions::from_mode(0o755)).expect("opened up");
        fs::set_permissions(place.file("credentials.json"), Permissions::from_mode(0o644)).expect("opened up");
        place.prepare().expect("prepared");
        assert_eq!(place.read("credentials.json").expect("read").as_deref(), Some(&b"{}"[..]));
        assert_eq!((rights(&place.directory()), rights(&place.file("credentials.json"))), (0o700, 0o600));
    }

    #[test]
    fn a_write_that_was_killed_half_way_does_not_stop_the_next_one() {
        let state = tempfile::tempdir().expect("directory");
        let place = place(state.path());
        place.prepare().expect("prepared");
        fs::write(place.file("credentials.json.new"), "half").expect("left over");
        place.write("credentials.json", b"whole").expect("written");
        assert_eq!(place.read("credentials.json").expect("read").as_deref(), Some(&b"whole"[..]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_operation_on_a_store_waits_for_the_first_and_not_for_ever() {
        let state = tempfile::tempdir().expect("directory");
        let place = place(state.path());
        let first = place.lock().await.expect("locked");
        assert!(matches!(place.lock().await, Err(StoreError::TooLate(_))));
        drop(first);
        place.lock().await.expect("free again");
    }
}
