//! Answers as JSON. Absent means null, never a missing key.

use coupon::calendar::{Date, Zone, format_instant};
use coupon::campaign::{Batch, BatchKind};
use coupon::coupon::Redemption;
use coupon::time::Millis;
use engine::import::columns::Column;
use engine::import::{CheckedLines, DryRun, ParsedLine};
use engine::{
    CampaignView, CheckView, CouponView, EventView, HoldView, RedemptionView, RejectedLine, Tier,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

fn instant(at: Option<Millis>) -> Option<String> {
    at.map(format_instant)
}

/// A coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Coupon)]
pub struct CouponBody {
    /// As people read it; hyphens, spaces and case do not matter when it is sent back.
    #[schema(example = "7K2M-9QXD-4TRB-H0VE")]
    code: String,
    campaign_id: String,
    batch_id: String,
    /// `available`, `issued`, `redeemed` or `void`.
    #[schema(example = "issued")]
    state: &'static str,
    /// Whether `expires_at` has passed.
    expired: bool,
    /// Whether its campaign or its batch is paused.
    paused: bool,
    /// Who holds or redeemed it.
    #[schema(required)]
    holder: Option<String>,
    /// First instant at which it works.
    #[schema(format = DateTime)]
    valid_from: String,
    /// First instant at which it no longer works.
    #[schema(format = DateTime)]
    expires_at: String,
    /// The day of its last millisecond, in `time_zone`.
    #[schema(format = Date)]
    expires_on: String,
    #[schema(example = "Asia/Seoul")]
    time_zone: String,
    /// Until when it is kept for an order.
    #[schema(required, format = DateTime)]
    held_until: Option<String>,
    #[schema(required, format = DateTime)]
    issued_at: Option<String>,
    #[schema(required, format = DateTime)]
    redeemed_at: Option<String>,
    /// The order of its redemption, or of the hold of the moment.
    #[schema(required)]
    order_ref: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    modified_at: String,
    /// One more with each change; 0 before the first.
    version: u64,
    /// `hot` or `cold`.
    #[schema(example = "hot")]
    tier: &'static str,
}

impl From<&CouponView> for CouponBody {
    fn from(view: &CouponView) -> CouponBody {
        let coupon = &view.coupon;
        let shown = |text: Option<String>| text.filter(|_| view.in_full);
        CouponBody {
            code: view.code.clone(),
            campaign_id: coupon.genesis().campaign.to_string(),
            batch_id: coupon.genesis().batch.to_string(),
            state: coupon.state().as_str(),
            expired: view.expired,
            paused: view.paused,
            holder: shown(coupon.holder().map(ToString::to_string)),
            valid_from: format_instant(coupon.genesis().valid_from),
            expires_at: format_instant(coupon.expires_at()),
            expires_on: coupon.expires_on().to_string(),
            time_zone: coupon.zone().name().to_owned(),
            held_until: instant(view.held_until),
            issued_at: instant(coupon.issued_at()),
            redeemed_at: instant(coupon.redemption().map(|redemption| redemption.at)),
            order_ref: shown(view.order.as_ref().map(ToString::to_string)),
            created_at: format_instant(coupon.genesis().created_at),
            modified_at: format_instant(coupon.modified_at()),
            version: coupon.version(),
            tier: match view.tier {
                Tier::Hot => "hot",
                Tier::Cold => "cold",
            },
        }
    }
}

/// A coupon with its history.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CouponWithEvents)]
pub struct CouponDetail {
    #[serde(flatten)]
    coupon: CouponBody,
    /// What happened to it, oldest first; at most 32. A user sees it since the coupon became
    /// theirs. Empty for one who merely shows a bearer code.
    events: Vec<EventBody>,
}

impl From<&CouponView> for CouponDetail {
    fn from(view: &CouponView) -> CouponDetail {
        CouponDetail {
            coupon: CouponBody::from(view),
            events: view.events().iter().map(EventBody::from).collect(),
        }
    }
}

/// One thing that happened to a coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    /// From 1.
    sequence: usize,
    /// `issued`, `redeemed`, `redemption_cancelled`, `revoked`, `voided` or `extended`.
    kind: &'static str,
    #[schema(format = DateTime)]
    at: String,
    /// Who did it, as `role:name`; for a user the role alone where it was somebody else.
    #[schema(example = "shop:checkout-7")]
    actor: String,
    /// The `issue_ref`, `order_ref` or `revoke_ref`, or the reason where there is none; reasons of
    /// others are null for a user.
    #[schema(required)]
    reference: Option<String>,
}

impl From<&EventView<'_>> for EventBody {
    fn from(event: &EventView<'_>) -> EventBody {
        EventBody {
            sequence: event.sequence,
            kind: event.kind,
            at: format_instant(event.at),
            actor: event.actor.to_owned(),
            reference: event.reference.map(str::to_owned),
        }
    }
}

/// A campaign. Users see `shared_code`, `code_prefix`, `stock` and the counts as null.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub struct CampaignBody {
    campaign_id: String,
    name: String,
    /// `shop`, `self`, `bearer` or `shared`.
    handout: &'static str,
    /// All of its batches together.
    #[schema(required)]
    stock: Option<u64>,
    /// Issued and not redeemed, at `counted_at`.
    #[schema(required)]
    issued: Option<u64>,
    #[schema(required)]
    redeemed: Option<u64>,
    #[schema(required)]
    void: Option<u64>,
    paused: bool,
    /// The one word for everybody, in shared campaigns.
    #[schema(required)]
    shared_code: Option<String>,
    #[schema(required)]
    code_prefix: Option<String>,
    #[schema(format = DateTime)]
    valid_from: String,
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(format = Date)]
    expires_on: String,
    time_zone: String,
    #[schema(required)]
    valid_days: Option<u16>,
    #[schema(required, format = DateTime)]
    issue_from: Option<String>,
    #[schema(required, format = DateTime)]
    issue_until: Option<String>,
    #[schema(required)]
    per_user_limit: Option<u16>,
    cancel_days: u16,
    extend_days: u16,
    /// The shop's own JSON object.
    #[schema(required, value_type = Option<Object>)]
    metadata: Option<Value>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    counted_at: Option<String>,
}

impl From<&CampaignView> for CampaignBody {
    fn from(view: &CampaignView) -> CampaignBody {
        let (campaign, counts) = (&view.campaign, view.counts.map(|(counts, _)| counts));
        let inside = |text: Option<String>| text.filter(|_| counts.is_some());
        CampaignBody {
            campaign_id: campaign.id.to_string(),
            name: campaign.name.clone(),
            handout: campaign.handout.as_str(),
            stock: counts.map(|counts| counts.stock),
            issued: counts.map(|counts| counts.issued),
            redeemed: counts.map(|counts| counts.redeemed),
            void: counts.map(|counts| counts.void),
            paused: campaign.paused,
            shared_code: inside(campaign.shared_code.as_ref().map(ToString::to_string)),
            code_prefix: inside(campaign.code_prefix.as_ref().map(ToString::to_string)),
            valid_from: format_instant(campaign.valid_from),
            expires_at: format_instant(campaign.expires_at),
            expires_on: campaign.expires_on().to_string(),
            time_zone: campaign.zone.name().to_owned(),
            valid_days: campaign.valid_days,
            issue_from: instant(campaign.issue_from),
            issue_until: instant(campaign.issue_until),
            per_user_limit: campaign.per_user_limit,
            cancel_days: campaign.cancel_days,
            extend_days: campaign.extend_days,
            metadata: campaign.metadata.as_ref().and_then(|text| serde_json::from_str(text).ok()),
            created_at: format_instant(campaign.created_at),
            counted_at: instant(view.counts.map(|(_, at)| at)),
        }
    }
}

/// Coupons that came into a campaign together.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchBody {
    batch_id: String,
    campaign_id: String,
    /// `minted` or `imported`.
    kind: &'static str,
    /// Its coupons.
    count: u64,
    paused: bool,
    /// Lines of the last file imported into it; null in a minted batch, as are the next three.
    #[schema(required)]
    lines: Option<u64>,
    /// Lines that made a coupon, or moved one forward.
    #[schema(required)]
    imported: Option<u64>,
    /// Lines that said nothing new.
    #[schema(required)]
    already_there: Option<u64>,
    /// Lines that were refused; the three add up to `lines`.
    #[schema(required)]
    rejected: Option<u64>,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<&Batch> for BatchBody {
    fn from(batch: &Batch) -> BatchBody {
        let import = match batch.kind {
            BatchKind::Minted(_) => None,
            BatchKind::Imported => Some(batch.import),
        };
        BatchBody {
            batch_id: batch.id.to_string(),
            campaign_id: batch.campaign.to_string(),
            kind: batch.kind.as_str(),
            count: batch.count,
            paused: batch.paused,
            lines: import.map(|counts| counts.lines),
            imported: import.map(|counts| counts.imported),
            already_there: import.map(|counts| counts.already_there),
            rejected: import.map(|counts| counts.rejected),
            created_at: format_instant(batch.created_at),
        }
    }
}

/// A batch, or with `dry_run=true` what an import into one would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BatchOrDryRun)]
#[serde(untagged)]
pub enum BatchOrDryRun {
    /// The batch.
    Batch(BatchBody),
    /// What a dry run found.
    DryRun(DryRunBody),
}

impl From<&Batch> for BatchOrDryRun {
    fn from(batch: &Batch) -> BatchOrDryRun {
        BatchOrDryRun::Batch(BatchBody::from(batch))
    }
}

/// What an import of the file would do, as far as reads can tell. `new`, `known`, `unchecked` and
/// `rejected` add up to `lines`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ImportDryRun)]
pub struct DryRunBody {
    /// Always true.
    dry_run: bool,
    campaign_id: String,
    /// In which the file's dates are read.
    #[schema(example = "Asia/Seoul")]
    time_zone: String,
    /// In which the file was read.
    #[schema(example = "CP949")]
    encoding: &'static str,
    /// What stands between two cells: a comma, a semicolon or a tab; null for an empty file.
    #[schema(required, example = ",")]
    separator: Option<String>,
    /// The header as it stands in the file; null where the first line is a coupon.
    #[schema(required)]
    header: Option<String>,
    /// What each column of the file is, in their order; null for one that is skipped.
    columns: Vec<Option<&'static str>>,
    /// Lines of the file without its header.
    lines: u64,
    /// Lines that would be imported, unless their expiry day is closed.
    new: u64,
    /// Lines whose code the campaign has already, or an earlier line: already there, moved forward,
    /// or rejected for other dates.
    known: u64,
    /// Lines that can be read and were not looked up: of a file the codes of the first 10,000 are.
    unchecked: u64,
    /// Lines that would be rejected.
    rejected: u64,
    /// The first of the rejected lines, at most 100.
    rejected_lines: Vec<RejectedBody>,
    /// The first lines that can be read, at most 5, as they were read.
    parsed_lines: Vec<ParsedBody>,
}

/// A line that would be rejected.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RejectedLine)]
pub struct RejectedBody {
    /// Its number in the file, from 1, the header and empty lines included.
    line: u64,
    text: String,
    /// For programs, as in the report of an import.
    #[schema(example = "BAD_DATE")]
    reason: String,
    detail: String,
}

/// A line as it was read.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ParsedLine)]
pub struct ParsedBody {
    /// Its number in the file, from 1, the header and empty lines included.
    line: u64,
    code: String,
    #[schema(format = DateTime)]
    valid_from: String,
    /// First instant at which it no longer works.
    #[schema(format = DateTime)]
    expires_at: String,
    /// The day of its last millisecond, in `time_zone`.
    #[schema(format = Date)]
    expires_on: String,
    /// `available`, `issued`, `redeemed` or `void`.
    state: &'static str,
    #[schema(required)]
    user_id: Option<String>,
    #[schema(required, format = DateTime)]
    issued_at: Option<String>,
    #[schema(required, format = DateTime)]
    redeemed_at: Option<String>,
    #[schema(required)]
    order_ref: Option<String>,
}

impl From<&DryRun> for DryRunBody {
    fn from(found: &DryRun) -> DryRunBody {
        let CheckedLines { lines, new, known, unchecked, rejected } = found.counts;
        DryRunBody {
            dry_run: true,
            campaign_id: found.campaign.to_string(),
            time_zone: found.zone.name().to_owned(),
            encoding: found.encoding.name(),
            separator: found.separator.map(String::from),
            header: found.header.clone(),
            columns: found.columns.iter().map(|column| column.map(Column::name)).collect(),
            lines,
            new,
            known,
            unchecked,
            rejected,
            rejected_lines: found.rejected.iter().map(RejectedBody::from).collect(),
            parsed_lines: found.parsed.iter().map(|it| ParsedBody::of(it, &found.zone)).collect(),
        }
    }
}

impl From<&RejectedLine> for RejectedBody {
    fn from(line: &RejectedLine) -> RejectedBody {
        let RejectedLine { line, text, word, detail } = line.clone();
        RejectedBody { line, text, reason: word, detail }
    }
}

impl ParsedBody {
    fn of(parsed: &ParsedLine, zone: &Zone) -> ParsedBody {
        let read = &parsed.read;
        ParsedBody {
            line: parsed.line,
            code: read.code.to_string(),
            valid_from: format_instant(read.valid_from),
            expires_at: format_instant(read.expires_at),
            expires_on: Date::last_of(read.expires_at, zone).to_string(),
            state: parsed.state(),
            user_id: read.imported_state.holder().map(ToString::to_string),
            issued_at: instant(parsed.issued_at()),
            redeemed_at: instant(parsed.redeemed_at()),
            order_ref: parsed.order().map(ToString::to_string),
        }
    }
}

/// One redemption of a coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Redemption)]
pub struct RedemptionBody {
    code: String,
    campaign_id: String,
    /// Null only where an import did not say.
    #[schema(required)]
    user_id: Option<String>,
    order_ref: String,
    #[schema(format = DateTime)]
    redeemed_at: String,
    #[schema(required, format = DateTime)]
    cancelled_at: Option<String>,
}

impl From<&RedemptionView> for RedemptionBody {
    fn from(view: &RedemptionView) -> RedemptionBody {
        let Redemption { by, order, at, cancelled_at } = &view.redemption;
        RedemptionBody {
            code: view.code.clone(),
            campaign_id: view.campaign.to_string(),
            user_id: by.as_ref().map(ToString::to_string),
            order_ref: order.to_string(),
            redeemed_at: format_instant(*at),
            cancelled_at: instant(*cancelled_at),
        }
    }
}

/// A redemption that was cancelled, and its coupon.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CancelledRedemption)]
pub struct CancelledBody {
    /// The redemption.
    pub redemption: RedemptionBody,
    /// `expired` says whether it came back dead.
    pub coupon: CouponBody,
}

/// A coupon kept for one order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldBody {
    code: String,
    order_ref: String,
    #[schema(format = DateTime)]
    until: String,
    coupon: CouponBody,
}

impl From<&HoldView> for HoldBody {
    fn from(view: &HoldView) -> HoldBody {
        HoldBody {
            code: view.coupon.code.clone(),
            order_ref: view.order.to_string(),
            until: format_instant(view.until),
            coupon: CouponBody::from(&view.coupon),
        }
    }
}

/// What redeem would answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckBody {
    redeemable: bool,
    /// The problem code that redeem would answer with.
    #[schema(required, example = "PAUSED")]
    refusal: Option<&'static str>,
    /// Null where a shared word would make one.
    #[schema(required)]
    coupon: Option<CouponBody>,
    #[schema(required)]
    campaign: Option<CampaignBody>,
}

impl From<&CheckView> for CheckBody {
    fn from(view: &CheckView) -> CheckBody {
        CheckBody {
            redeemable: view.refusal.is_none(),
            refusal: view.refusal.map(|refusal| refusal.as_str()),
            coupon: view.coupon.as_ref().map(CouponBody::from),
            campaign: view.campaign.as_ref().map(CampaignBody::from),
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    pub(crate) data: Vec<T>,
    /// Where the next page begins; null at the end. A page may be short and have a next.
    #[schema(required)]
    pub(crate) next_cursor: Option<String>,
}

/// A token for whoever signed in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    pub(crate) user_id: String,
    /// For `Authorization: Bearer`.
    pub(crate) token: String,
    #[schema(format = DateTime)]
    pub(crate) expires_at: String,
}
