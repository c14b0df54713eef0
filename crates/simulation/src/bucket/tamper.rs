//! A hook around each write of a process to a bucket.

use std::fmt;

use object_store::path::Path;

use super::weather::BucketVerb;

/// The folder of a table's log.
const LOG: &str = "_delta_log";

/// What is done around each write of a process.
pub trait BucketTamper: Send + Sync {
    /// Runs before a write is sent. A process that is stopped here sends it when it goes on.
    fn before(&self, write: &BucketWrite<'_>);

    /// Runs after a write was made, or was lost, and before the process hears of it.
    fn after(&self, write: &BucketWrite<'_>);
}

/// One request that changes the bucket. It is shown with the whole name of its object.
#[derive(Clone, Copy, Debug)]
pub struct BucketWrite<'a> {
    /// As S3 names the request.
    verb: &'static str,
    location: &'a Path,
}

impl<'a> BucketWrite<'a> {
    /// `None` if it changes nothing.
    pub(super) fn of(verb: BucketVerb, location: &'a Path) -> Option<BucketWrite<'a>> {
        let verb = match verb {
            BucketVerb::Get | BucketVerb::List => return None,
            BucketVerb::Put | BucketVerb::Create => "PUT",
            BucketVerb::Delete => "DELETE",
            BucketVerb::Begin => "CreateMultipartUpload",
            BucketVerb::Part => "UploadPart",
            BucketVerb::Complete => "CompleteMultipartUpload",
            BucketVerb::Abort => "AbortMultipartUpload",
        };
        Some(BucketWrite { verb, location })
    }

    /// The request and what kind of object it is for, the same in every seed: `PUT commit of
    /// coupons`.
    pub fn step(&self) -> String {
        format!("{} {}", self.verb, kind(self.location.as_ref()))
    }
}

impl fmt::Display for BucketWrite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.location)
    }
}

/// What the cold tier keeps under a name.
fn kind(location: &str) -> String {
    let Some((table, path)) = location.split_once('/') else { return "other object".to_owned() };
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_first = name.bytes().take_while(u8::is_ascii_digit).all(|digit| digit == b'0');
    let kind = match path.split('/').next() {
        Some(LOG) if name == "_last_checkpoint" => "hint to a checkpoint",
        Some(LOG) if name.ends_with(".checkpoint.parquet") => "checkpoint",
        Some(LOG) if name.ends_with(".json") && is_first => "first commit",
        Some(LOG) if name.ends_with(".json") => "commit",
        // The name says so: `0000000002-r1-….parquet`.
        Some(_) if name.contains("-r") => "merged file",
        Some(_) if name.ends_with(".parquet") => "file",
        _ => "other object",
    };
    format!("{kind} of {table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_steps() {
        let id = "6f1c2a52-7a5e-4c36-9d3e-1c2f3a4b5c6d";
        let cases = [
            (
                BucketVerb::Create,
                "coupons/_delta_log/00000000000000000007.json",
                "PUT commit of coupons",
            ),
            (
                BucketVerb::Create,
                "coupons/_delta_log/00000000000000000000.json",
                "PUT first commit of coupons",
            ),
            (
                BucketVerb::Put,
                "holder_index/_delta_log/00000000000000000010.checkpoint.parquet",
                "PUT checkpoint of holder_index",
            ),
            (
                BucketVerb::Put,
                "coupons/_delta_log/_last_checkpoint",
                "PUT hint to a checkpoint of coupons",
            ),
            (
                BucketVerb::Complete,
                &format!("coupons/expiry_day=2026-12-31/0000000001-{id}.parquet"),
                "CompleteMultipartUpload file of coupons",
            ),
            (
                BucketVerb::Delete,
                &format!("coupons/expiry_day=2026-12-31/0000000002-r1-{id}.parquet"),
                "DELETE merged file of coupons",
            ),
            (
                BucketVerb::Begin,
                &format!("coupons_by_holder/month=2026-12/2026-12-31-0000000001-{id}.parquet"),
                "CreateMultipartUpload file of coupons_by_holder",
            ),
            (BucketVerb::Part, "else", "UploadPart other object"),
        ];
        for (verb, name, want) in cases {
            let location = Path::from(name);
            let write = BucketWrite::of(verb, &location).expect("it is a write");
            assert_eq!(write.step(), want, "{name}");
        }
        assert!(BucketWrite::of(BucketVerb::Get, &Path::from("a")).is_none());
    }
}
