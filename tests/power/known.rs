//! What couponry has acknowledged: the notes in a journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::journal::Step;

/// Something that must survive every power cut after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Known {
    /// The text of each key file: a token was printed.
    Keys(BTreeMap<String, String>),
    Issued {
        code: String,
        user: String,
    },
    Redeemed {
        code: String,
        order: String,
    },
    Imported {
        codes: Vec<String>,
    },
    /// A backup, complete. It has the first so many of all that is known.
    Backup {
        name: String,
        has: usize,
    },
}

impl Known {
    pub(super) fn note(&self) -> String {
        serde_json::to_string(self).expect("it is JSON")
    }

    /// All that is known after these steps.
    pub(super) fn all(steps: &[Step]) -> Vec<Known> {
        let note = |step: &Step| match step {
            Step::Note(text) => Some(serde_json::from_str(text).expect("a note of a test")),
            _ => None,
        };
        steps.iter().filter_map(note).collect()
    }
}
