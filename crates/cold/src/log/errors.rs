//! Errors of the kernel as errors of the store: the only place that tells damage from an outage.

use delta_kernel::KernelError;

use super::DeltaTable;
use crate::error::ColdError;
use crate::files::ReadError;
use crate::live::LiveFile;

pub(super) enum LogReadError {
    Kernel(KernelError),
    Foreign(String),
    Stats(String),
}

impl From<KernelError> for LogReadError {
    fn from(error: KernelError) -> LogReadError {
        LogReadError::Kernel(error)
    }
}

impl DeltaTable {
    /// A file that is missing although it is live is damage. A file that a merge has replaced is
    /// [`ColdError::Unavailable`], and the caller reads again.
    pub(crate) async fn unread_file(&self, file: &LiveFile, error: ReadError) -> ColdError {
        match error {
            ReadError::Cold(error) => error,
            ReadError::Gone => match self.newest().await {
                Ok(known) if known.is_live(file.origin.day, &file.path) => {
                    self.location.damaged(file.object(), "it is missing")
                }
                Ok(_) => self.location.unavailable(format!("{} was merged away", file.path)),
                Err(error) => error,
            },
        }
    }

    pub(super) async fn unread(&self, what: &str, unread: LogReadError) -> ColdError {
        match unread {
            LogReadError::Foreign(path) => {
                self.location.damaged(self.object(&path), "its name is not one that couponry gives")
            }
            LogReadError::Stats(path) => self
                .location
                .damaged(self.object(&path), "its entry in the log has no number of rows"),
            LogReadError::Kernel(error) => self.failed(what, error).await,
        }
    }

    /// An error of the kernel names no file, so this reads the log to find the broken entry.
    pub(super) async fn failed(&self, what: &str, error: KernelError) -> ColdError {
        let error = match store_error(error) {
            Ok(error) => return self.location.failed(what, error),
            Err(error) => error,
        };
        match self.broken_entry().await {
            Ok(Some((entry, fault))) => self.location.damaged(entry, fault),
            Ok(None) => self.location.damaged(self.log_folder(), error),
            Err(other) => other,
        }
    }
}

/// The error of the store, if the kernel's error is one or was caused by one.
fn store_error(error: KernelError) -> Result<object_store::Error, KernelError> {
    match error {
        KernelError::ObjectStore(error) => Ok(error),
        KernelError::Backtraced { source, .. } => store_error(*source),
        error if comes_from_store(&error) => {
            Ok(object_store::Error::Generic { store: "kernel", source: Box::new(error) })
        }
        other => Err(other),
    }
}

fn comes_from_store(error: &KernelError) -> bool {
    if let KernelError::IOError(_) | KernelError::JoinFailure(_) = error {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<object_store::Error>() || error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}
