//! Where the encoder writes: an upload in parts, and the checksums of its bytes.

use std::io::{self, Write};

use object_store::WriteMultipart;
use xxhash_rust::xxh3::Xxh3;

use crate::blocking::BlockingPool;
use crate::checksums;

pub(super) struct UploadSink {
    /// `None` after it was taken to be finished.
    pub(super) upload: Option<WriteMultipart>,
    blocking: BlockingPool,
    hasher: Xxh3,
    /// The bytes after the last row group, held back until they have their checksum.
    tail: Option<Vec<u8>>,
}

impl UploadSink {
    pub(super) fn new(upload: WriteMultipart, blocking: &BlockingPool) -> UploadSink {
        UploadSink {
            upload: Some(upload),
            blocking: blocking.clone(),
            hasher: Xxh3::new(),
            tail: None,
        }
    }

    /// Holds back all bytes from here on.
    pub(super) fn begin_tail(&mut self) {
        self.tail = Some(Vec::new());
    }

    /// The checksum of the bytes since the last call.
    pub(super) fn sum(&mut self) -> u64 {
        let sum = self.hasher.digest();
        self.hasher.reset();
        sum
    }

    pub(super) fn seal(&mut self) -> io::Result<()> {
        let mut tail = self.tail.take().unwrap_or_default();
        checksums::seal(&mut tail).ok_or_else(|| io::Error::other("the footer has no sum"))?;
        self.write_all(&tail)
    }
}

impl Drop for UploadSink {
    /// Tells the store to discard the parts of a file that was not completed.
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take()
            && let Err(error) = self.blocking.block_on(upload.abort())
        {
            tracing::debug!(%error, "the parts of an abandoned upload could not be deleted");
        }
    }
}

impl Write for UploadSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let upload = self.upload.as_mut().ok_or_else(|| io::Error::other("the file has ended"))?;
        upload.write(bytes);
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
