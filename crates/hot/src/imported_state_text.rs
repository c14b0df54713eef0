//! The imported state of a coupon, as JSON in a row of the directory.

use std::fmt::Display;

use coupon::imported::ImportedState;
use coupon::time::Millis;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum ImportedStateText {
    Available,
    Issued {
        user_id: String,
        issued_at: Option<i64>,
    },
    Redeemed {
        user_id: Option<String>,
        issued_at: Option<i64>,
        redeemed_at: i64,
        order_ref: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worth: Option<String>,
    },
    Void {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issued_at: Option<i64>,
    },
}

pub fn to_json(imported_state: &ImportedState) -> String {
    let text = match imported_state {
        ImportedState::Available => ImportedStateText::Available,
        ImportedState::Void { holder, issued_at } => ImportedStateText::Void {
            user_id: holder.as_ref().map(ToString::to_string),
            issued_at: issued_at.map(|at| at.0),
        },
        ImportedState::Issued { holder, at } => {
            ImportedStateText::Issued { user_id: holder.to_string(), issued_at: at.map(|at| at.0) }
        }
        ImportedState::Redeemed { holder, issued_at, at, order, worth } => {
            ImportedStateText::Redeemed {
                user_id: holder.as_ref().map(ToString::to_string),
                issued_at: issued_at.map(|at| at.0),
                redeemed_at: at.0,
                order_ref: order.as_ref().map(ToString::to_string),
                worth: worth.as_ref().map(ToString::to_string),
            }
        }
    };
    serde_json::to_string(&text).expect("strings and numbers always serialize")
}

/// Reads the JSON that [`to_json`] wrote.
///
/// # Errors
/// A sentence that says what is wrong with the text.
pub fn from_json(text: &str) -> Result<ImportedState, String> {
    let said = |why: &dyn Display| why.to_string();
    let user = |text: String| text.parse().map_err(|why| said(&why));
    let maybe = |text: Option<String>| text.map(user).transpose();
    let imported_state = serde_json::from_str(text).map_err(|why| said(&why))?;
    Ok(match imported_state {
        ImportedStateText::Available => ImportedState::Available,
        ImportedStateText::Void { user_id, issued_at } => {
            ImportedState::Void { holder: maybe(user_id)?, issued_at: issued_at.map(Millis) }
        }
        ImportedStateText::Issued { user_id, issued_at } => {
            ImportedState::Issued { holder: user(user_id)?, at: issued_at.map(Millis) }
        }
        ImportedStateText::Redeemed { user_id, issued_at, redeemed_at, order_ref, worth } => {
            ImportedState::Redeemed {
                holder: maybe(user_id)?,
                issued_at: issued_at.map(Millis),
                at: Millis(redeemed_at),
                order: order_ref.map(|it| it.parse().map_err(|why| said(&why))).transpose()?,
                worth: worth
                    .map(|it| it.parse().map(Box::new).map_err(|why| said(&why)))
                    .transpose()?,
            }
        }
    })
}
