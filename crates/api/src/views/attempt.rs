//! Refused attempts.

use std::borrow::Cow;

use attempts::{Found, Kept, masked};
use coupon::calendar::format_instant;
use coupon::time::Millis;
use serde::Serialize;
use utoipa::ToSchema;

use super::PersonRecordBody;
use crate::closed;

/// Some refused attempts.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attempts)]
pub struct AttemptsBody {
    /// The attempts, newest first.
    #[schema(max_items = 1000)]
    data: Vec<AttemptBody>,
    /// Send it as `cursor` to get the next page; null if this is the last page.
    next_cursor: Option<String>,
    /// How many attempts of the time that is kept are missing, of whatever code and user: there were too many.
    dropped: u64,
}

/// Something that was tried and refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptBody {
    /// When.
    at: String,
    /// What was tried.
    #[schema(value_type = closed::AttemptAction)]
    action: String,
    /// The code as people read it, without the prefix of its campaign; null if none was named. A part of it
    /// if no coupon has it, and for a shop if the answer was `NOT_FOUND`: `*` stands for the others.
    #[schema(min_length = 4, max_length = 79, pattern = "^[A-Za-z0-9* -]+$")]
    code: Option<String>,
    /// Why the answer was `NOT_FOUND`. Null for a shop, for other answers, and if there were too many to look.
    #[schema(value_type = Option<closed::UnknownCode>)]
    unknown: Option<String>,
    /// The campaign, if it is known.
    campaign_id: Option<String>,
    /// For which user; null if nobody was named, or nobody has the login.
    user_id: Option<String>,
    /// For which order.
    order_ref: Option<String>,
    /// Who asked, `role:name`; null for a sign-in.
    actor: Option<String>,
    /// From which IP address: of a shop, that of its server. Of IPv6 the first 64 bits.
    #[schema(max_length = 45)]
    peer: Option<String>,
    /// Why it was refused.
    #[schema(value_type = closed::ProblemCode)]
    problem: String,
}

impl AttemptsBody {
    pub(crate) fn of_person(&self) -> Vec<PersonRecordBody> {
        self.data.iter().map(|attempt| PersonRecordBody::of("attempt", attempt)).collect()
    }

    /// `says_unknown`: whether the caller may know why a code was not found. A shop could find codes with it.
    pub(crate) fn of(
        found: Found,
        next_cursor: Option<String>,
        says_unknown: bool,
    ) -> AttemptsBody {
        let body = |Kept { attempt: it, .. }: Kept| AttemptBody {
            at: format_instant(Millis(it.at)),
            action: it.action.into_owned(),
            code: match it.unknown {
                Some(_) if !says_unknown => it.code.as_deref().map(masked),
                Some(_) | None => it.code,
            },
            unknown: it.unknown.filter(|_| says_unknown).map(Cow::into_owned),
            campaign_id: it.campaign,
            user_id: it.user,
            order_ref: it.order,
            actor: it.actor,
            peer: it.peer,
            problem: it.problem.into_owned(),
        };
        let data = found.attempts.into_iter().map(body).collect();
        AttemptsBody { data, next_cursor, dropped: found.dropped }
    }
}
