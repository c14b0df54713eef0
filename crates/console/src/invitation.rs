//! One-time links, with which somebody makes an account or sets a new password.
//!
//! A link is signed and names a role; the store keeps which ones were used. So the command line makes one
//! without `serve`, and each link is good once, whichever process gets it.

use coupon::time::Millis;
use engine::{StaffInvitation, StaffRole};
use uuid::Uuid;

use crate::Console;
use crate::signing::{InvitationLink, PayloadSigner, SigningKeys};

/// How long a link of the banner or of `couponry console` is good, in milliseconds: an hour.
pub const FIRST_LINK_MS: i64 = 3_600 * 1_000;

/// How long an invitation is good, in milliseconds: three days.
pub const INVITATION_MS: i64 = 3 * 86_400 * 1_000;

/// The path and query of a new link, good for `ttl_ms`, with which somebody gets this role.
pub fn link(
    keys: SigningKeys,
    role: StaffRole,
    name: Option<String>,
    now: Millis,
    ttl_ms: i64,
) -> String {
    let link = new(role, name, None, now.plus_ms(ttl_ms));
    signed(&PayloadSigner::new(keys), &link, now)
}

/// A link for the first admin. It is good only while nobody has an account: it stands in logs.
pub fn first_link(keys: SigningKeys, now: Millis, ttl_ms: i64) -> String {
    let link = new(StaffRole::Admin, None, None, now.plus_ms(ttl_ms));
    signed(&PayloadSigner::new(keys), &InvitationLink { only_first: true, ..link }, now)
}

pub(crate) fn new(
    role: StaffRole,
    name: Option<String>,
    by: Option<(String, u64)>,
    expires_at: Millis,
) -> InvitationLink {
    let id = Uuid::now_v7().simple().to_string();
    InvitationLink {
        id,
        expires_at: expires_at.0,
        role: role.as_str().to_owned(),
        name,
        by,
        only_first: false,
    }
}

pub(crate) fn signed(signer: &PayloadSigner, link: &InvitationLink, now: Millis) -> String {
    format!("/console/welcome?link={}", signer.sign(link, now))
}

impl Console {
    /// The invitation of a link, if it was signed here and has not expired.
    pub(crate) fn invitation(&self, signed: &str) -> Option<StaffInvitation> {
        let link: InvitationLink = self.signer.read(signed)?;
        let expires_at = Millis(link.expires_at);
        let role = link.role.parse().ok()?;
        let name = link.name.map(|name| name.parse()).transpose().ok()?;
        (expires_at > self.setup.engine.now()).then_some(StaffInvitation {
            id: link.id,
            expires_at,
            role,
            name,
            by: link.by,
            only_first: link.only_first,
        })
    }
}
