//! Where the two stores are: the values of the settings `hot` and `cold`.

use std::fmt;
use std::path::PathBuf;

use cold::{BadBucket, BucketAddress};
use cql_session::{BadKeyspaceAddress, KeyspaceAddress};

use super::value::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hot {
    Sqlite,
    /// A keyspace of a CQL cluster, which other processes use too.
    Cql(KeyspaceAddress),
}

impl Hot {
    /// The default of `compact_every`. On a cluster every process would compact, so none does.
    pub(super) fn compact_every(&self) -> &'static str {
        match self {
            Hot::Sqlite => "1h",
            Hot::Cql(_) => "0",
        }
    }
}

impl Value for Hot {
    type Written = String;

    fn read(written: Option<String>, default: &str) -> Result<Hot, String> {
        match written.as_deref().unwrap_or(default) {
            "sqlite" => Ok(Hot::Sqlite),
            text if text.starts_with("cql://") => {
                let address = text.parse();
                address.map(Hot::Cql).map_err(|error: BadKeyspaceAddress| error.to_string())
            }
            other => {
                Err(format!("it is {other:?}, want sqlite or cql://HOST:PORT,HOST:PORT/KEYSPACE"))
            }
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hot::Sqlite => f.write_str("sqlite"),
            Hot::Cql(target) => target.fmt(f),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cold {
    Folder(PathBuf),
    /// A bucket; the `AWS_*` variables say how to reach it.
    Bucket(BucketAddress),
}

impl Value for Cold {
    type Written = String;

    fn read(written: Option<String>, default: &str) -> Result<Cold, String> {
        let text = written.unwrap_or_else(|| default.to_owned());
        match text.split_once("://") {
            None => Ok(Cold::Folder(text.into())),
            Some(("s3", _)) => {
                text.parse().map(Cold::Bucket).map_err(|error: BadBucket| error.to_string())
            }
            Some(_) => Err(format!("it is {text:?}, want a folder or s3://BUCKET/PREFIX")),
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Cold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cold::Folder(folder) => folder.display().fmt(f),
            Cold::Bucket(address) => address.fmt(f),
        }
    }
}
