//! `couponry export`: codes and coupons as CSV or JSON lines.

use std::path::PathBuf;
use std::sync::Arc;

use api::views::CouponBody;
use clap::{Args, Subcommand, ValueEnum};
use coupon::calendar::{Date, Zone};
use coupon::code::CodeText;
use coupon::ids::{BatchId, CampaignId};
use engine::{
    CodesAsk, CouponFilter, CouponView, Engine, Failure, ListAsk, ListOrder, PAGE_MAX, Span,
};
use futures::TryStreamExt;
use serde_json::Value;

use crate::failure::{Ended, Sorry};
use crate::open::{self, Missing};
use crate::output::{self, Out};
use crate::progress::{Progress, Work};
use crate::settings::Settings;

/// The columns of `export coupons`: the fields of a coupon in the HTTP interface.
const COLUMNS: [&str; 19] = [
    "code",
    "campaign_id",
    "batch_id",
    "state",
    "expired",
    "paused",
    "holder",
    "valid_from",
    "expires_at",
    "expires_on",
    "time_zone",
    "held_until",
    "issued_at",
    "redeemed_at",
    "order_ref",
    "created_at",
    "modified_at",
    "version",
    "tier",
];

/// Write out codes or coupons, as CSV or JSON lines
///
/// Works in constant memory, beside a running `serve` or without one.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct ExportAsk {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Codes(CodesFlags),
    Coupons(CouponsFlags),
}

/// The codes of a campaign that nothing has happened to yet
///
/// Prints the minted codes of a campaign as people read them, one a line under the header `code`:
/// for a printer, a mailing, a partner. Imported codes are not among them, and neither are those
/// that were issued, redeemed or voided.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 done (also when the reader has seen enough), 1 failed, 2 wrong call.

Examples:
  couponry export codes --campaign spring-2027 --output codes.csv
  couponry export codes --campaign spring-2027 | head -n 101
  couponry export codes --campaign spring-2027 --after 7K2M-9QXD-4TRB-H0VE")]
struct CodesFlags {
    /// The campaign
    #[arg(long, value_name = "ID")]
    campaign: CampaignId,
    /// Only the codes of one batch
    #[arg(long, value_name = "ID")]
    batch: Option<BatchId>,
    /// Only those behind this code, to go on where a list broke off
    #[arg(long, value_name = "CODE")]
    after: Option<CodeText>,
    #[command(flatten)]
    into: Into,
}

/// Coupons that something has happened to, or that were imported
///
/// Prints every field that a coupon has in the HTTP interface, campaign by campaign, soonest
/// expiry first. Minted coupons that nobody has touched are not among them: `export codes` lists
/// those. A coupon whose expiry changes meanwhile may stand there twice or not at all.
///
/// --from and --to choose days, both inclusive, by the coupon's last change (`modified_at`): the
/// days of --time-zone, UTC where it is left out. Without them every coupon is written.
///
/// In CSV a cell that a spreadsheet would take for a formula gets an apostrophe in front; JSON
/// lines have every value as it is.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 done (also when the reader has seen enough), 1 failed, 2 wrong call.

Examples, what changed in November as Seoul counts it, and one campaign for a program:
  couponry export coupons --from 2026-11-01 --to 2026-11-30 --time-zone Asia/Seoul \\
      --output november.csv
  couponry export coupons --campaign spring-2027 --format jsonl")]
struct CouponsFlags {
    /// Only one campaign's
    #[arg(long, value_name = "ID")]
    campaign: Option<CampaignId>,
    /// First day of the last change, as 2026-11-01
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Last day of the last change
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// Whose days they are, such as Asia/Seoul [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
    #[command(flatten)]
    into: Into,
}

#[derive(Args)]
struct Into {
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Write to this file instead of standard output; it appears when it is complete, readable by
    /// its owner alone
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A header and comma-separated cells
    Csv,
    /// A JSON object a line
    Jsonl,
}

pub(crate) async fn run(settings: &Settings, ask: &ExportAsk) -> Result<Ended, Sorry> {
    let into = match &ask.what {
        What::Codes(flags) => &flags.into,
        What::Coupons(flags) => &flags.into,
    };
    if let What::Coupons(CouponsFlags { from: Some(from), to: Some(to), .. }) = &ask.what
        && from > to
    {
        return Err(Sorry::wrong_call(format!("--from {from} lies after --to {to}")));
    }
    let engine = Arc::new(open::for_command(settings, Missing::Say).await?);
    let rows = match &ask.what {
        What::Codes(_) => "codes",
        What::Coupons(_) => "coupons",
    };
    let shown = into.output.is_none() && output::is_terminal();
    let progress = Progress::new(Work::Export(rows), None, shown);
    let mut sink = Sink {
        out: Out::to(into.output.as_deref())?,
        format: into.format,
        rows: 0,
        progress: &progress,
    };
    let written = async {
        match &ask.what {
            What::Codes(flags) => codes(&engine, flags, &mut sink).await,
            What::Coupons(flags) => coupons(&engine, flags, &mut sink).await,
        }
    };
    progress.during(written).await?;
    let count = output::thousands(sink.rows);
    sink.out.finish()?;
    drop(progress);
    if let Some(path) = &into.output {
        output::note(&format!("{count} {rows} in {}", path.display()));
    }
    Ok(Ended::Done)
}

struct Sink<'a> {
    out: Out,
    format: Format,
    rows: u64,
    progress: &'a Progress,
}

impl Sink<'_> {
    fn header(&mut self, columns: &[&str]) -> Result<(), Sorry> {
        match self.format {
            Format::Csv => self.out.put(&engine::csv::row(columns.iter().copied())),
            Format::Jsonl => Ok(()),
        }
    }

    /// After each page: whoever reads along has it at once.
    fn page_done(&mut self, rows: usize) -> Result<(), Sorry> {
        self.rows += rows as u64;
        self.progress.set(self.rows, self.rows);
        self.out.flush()
    }
}

async fn codes(engine: &Arc<Engine>, flags: &CodesFlags, sink: &mut Sink<'_>) -> Result<(), Sorry> {
    let ask = CodesAsk { batch: flags.batch.clone(), after: flags.after.clone() };
    let caller = open::caller();
    let found = engine.campaign(&caller, &flags.campaign).await;
    found.map_err(Sorry::about(format!("campaign {}", flags.campaign)))?;
    let about = |failure: Failure| match &flags.batch {
        Some(batch) => Sorry::about(format!("batch {batch} in {}", flags.campaign))(failure),
        None => failure.into(),
    };
    let chunks = Arc::clone(engine).codes(&caller, &flags.campaign, ask).await.map_err(about)?;
    sink.header(&["code"])?;
    futures::pin_mut!(chunks);
    while let Some(lines) = chunks.try_next().await? {
        match sink.format {
            Format::Csv => sink.out.put(&lines)?,
            Format::Jsonl => sink.out.put(&code_objects(&lines))?,
        }
        sink.page_done(lines.lines().count())?;
    }
    Ok(())
}

/// A printed code holds nothing that JSON would write otherwise.
fn code_objects(lines: &str) -> String {
    lines.lines().map(|code| format!("{{\"code\":\"{code}\"}}\n")).collect()
}

async fn coupons(engine: &Engine, flags: &CouponsFlags, sink: &mut Sink<'_>) -> Result<(), Sorry> {
    let modified = span(flags);
    if let Some(campaign) = &flags.campaign {
        let found = engine.campaign(&open::caller(), campaign).await;
        found.map_err(Sorry::about(format!("campaign {campaign}")))?;
        sink.header(&COLUMNS)?;
        return of_campaign(engine, campaign, modified, sink).await;
    }
    sink.header(&COLUMNS)?;
    let mut after = None;
    loop {
        let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.campaign.id.clone());
        for view in &page {
            of_campaign(engine, &view.campaign.id, modified, sink).await?;
        }
    }
}

/// Both days are inclusive; a span of instants has an exclusive end.
fn span(flags: &CouponsFlags) -> Span {
    let zone = flags.time_zone.clone().unwrap_or_else(Zone::utc);
    Span {
        from: flags.from.map(|day| day.first_instant(&zone)),
        before: flags.to.map(|day| day.end(&zone)),
    }
}

async fn of_campaign(
    engine: &Engine,
    campaign: &CampaignId,
    modified: Span,
    sink: &mut Sink<'_>,
) -> Result<(), Sorry> {
    let mut ask = ListAsk {
        user: None,
        campaign: Some(campaign.clone()),
        filter: CouponFilter { modified, ..CouponFilter::default() },
        expires_on: None,
        // An extended coupon moves towards the end: it may come twice, but is not missed.
        order: ListOrder::Soonest,
        after: None,
        limit: Some(PAGE_MAX as u64),
    };
    loop {
        let page = engine.list(&open::caller(), ask.clone()).await?;
        for view in &page.coupons {
            sink.out.put(&row(view, sink.format)?)?;
        }
        sink.page_done(page.coupons.len())?;
        match page.next {
            Some(next) => ask.after = Some(next),
            None => return Ok(()),
        }
    }
}

fn row(view: &CouponView, format: Format) -> Result<String, Sorry> {
    let bad = |error: serde_json::Error| Sorry::new(error.to_string());
    let body = CouponBody::from(view);
    match format {
        Format::Jsonl => Ok(serde_json::to_string(&body).map_err(bad)? + "\n"),
        Format::Csv => {
            let fields = serde_json::to_value(&body).map_err(bad)?;
            let cell = |name| output::cell_text(fields.get(name).unwrap_or(&Value::Null));
            let cells = COLUMNS.map(cell);
            Ok(engine::csv::row(cells.iter().map(String::as_str)))
        }
    }
}

#[cfg(test)]
mod tests {
    use coupon::time::Millis;

    use super::*;

    #[test]
    fn the_columns_are_the_fields_of_a_coupon() {
        let document = serde_json::to_value(api::openapi::document()).unwrap();
        let fields = document.pointer("/components/schemas/Coupon/properties").unwrap();
        let fields: Vec<&str> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(COLUMNS.as_slice(), fields);
    }

    #[test]
    fn days_are_inclusive_in_their_zone() {
        let flags = |from: Option<&str>, to: Option<&str>, zone: Option<&str>| CouponsFlags {
            campaign: None,
            from: from.map(|text| text.parse().unwrap()),
            to: to.map(|text| text.parse().unwrap()),
            time_zone: zone.map(|text| text.parse().unwrap()),
            into: Into { format: Format::Csv, output: None },
        };
        const DAY: i64 = 86_400_000;
        let (from, before) = (Some(Millis(DAY)), Some(Millis(2 * DAY)));
        let cases = [
            ("one day", flags(Some("1970-01-02"), Some("1970-01-02"), None), (from, before)),
            ("open at the end", flags(Some("19700102"), None, None), (from, None)),
            ("open at the start", flags(None, Some("1970-01-02"), Some("UTC")), (None, before)),
            (
                "nine hours earlier",
                flags(Some("1970-01-02"), Some("1970-01-02"), Some("Asia/Seoul")),
                (from.map(|at| at.plus_ms(-32_400_000)), before.map(|at| at.plus_ms(-32_400_000))),
            ),
        ];
        for (name, flags, (from, before)) in cases {
            assert_eq!(span(&flags), Span { from, before }, "{name}");
        }
    }

    #[test]
    fn codes_as_objects() {
        assert_eq!(code_objects("A-B\nC\n"), "{\"code\":\"A-B\"}\n{\"code\":\"C\"}\n");
        assert_eq!(code_objects(""), "");
    }
}
