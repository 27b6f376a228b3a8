//! The lock on a database folder: one process owns it, for as long as anything of that process may write to it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Held until [`FolderLock::release`], or until it is dropped.
pub struct FolderLock(File);

impl FolderLock {
    /// Takes `<folder>/lock`, or says that another process has it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path: PathBuf = folder.join("lock");
        let file = File::options().create(true).write(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::ObjectInUse, format!("the database folder {} is in use", folder.display()))
                    .detail(format!("Another process holds the lock {}.", path.display()))
                    .hint("Stop the other server, or give another folder with --data."))
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Gives the folder free, once nothing writes to it any more.
    pub fn release(&self) {
        // Closing the file would not do: a child process that is just being started shares it until its exec.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of the database folder could not be given back");
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        self.release();
    }
}
