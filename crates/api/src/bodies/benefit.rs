//! What a request says that coupons are worth.

use coupon::benefit::{Benefit, BenefitKind, BenefitTitle};

use super::FieldReader;
use crate::benefit_body::{BenefitBody, BenefitTitleBody};

pub(super) fn benefit_of(
    body: BenefitBody,
    reading: &mut FieldReader,
) -> Option<(Benefit, BenefitTitle)> {
    let kinds = ["amount", "percent", "text"].map(|kind| (kind, kind));
    let kind = reading.one_of("benefit.kind", Some(&body.kind), &kinds)?;
    let fields = [
        ("benefit.amount", body.amount.is_some(), "amount"),
        ("benefit.percent", body.percent.is_some(), "percent"),
        ("benefit.max_discount", body.max_discount.is_some(), "percent"),
    ];
    for (field, _, _) in fields.into_iter().filter(|(_, is_there, of)| *is_there && *of != kind) {
        reading.fault(field, format!("does not belong to kind {kind}"));
    }
    let kind = match kind {
        "amount" => {
            let Some(amount) = body.amount else {
                reading.fault("benefit.amount", "is missing");
                return None;
            };
            BenefitKind::Amount(amount)
        }
        "percent" => {
            // The shortest text of a number has the decimals that were sent.
            let text = body.percent.map(|number| number.to_string());
            let percent = reading.must("benefit.percent", text.as_deref())?;
            BenefitKind::Percent { percent, max_discount: body.max_discount }
        }
        _ => BenefitKind::Text,
    };
    let BenefitTitleBody { en, ko } = body.title.unwrap_or_default();
    Some((Benefit { kind, min_order: body.min_order }, BenefitTitle { en, ko }))
}
