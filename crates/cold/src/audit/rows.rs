//! A row of `coupons` for an audit: the coupon or why it cannot be read, and what its columns contradict.

use std::sync::Arc;

use arrow::array::RecordBatch;
use coupon::coupon::Coupon;

use crate::decode::{self, BadRow};
use crate::persons::PersonNames;

#[derive(Clone, Debug, PartialEq)]
pub struct ColdCopy {
    /// The file that has it, within its table.
    pub file: Arc<str>,
    /// The coupon, or why it cannot be read.
    pub coupon: Result<Box<Coupon>, String>,
    /// The first column that contradicts the events, and how.
    pub differs: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct AuditedRow {
    pub(super) code: String,
    pub(super) coupon: Result<Box<Coupon>, String>,
    pub(super) differs: Option<String>,
}

impl AuditedRow {
    pub(super) fn of(self, file: &Arc<str>) -> ColdCopy {
        ColdCopy { file: Arc::clone(file), coupon: self.coupon, differs: self.differs }
    }
}

/// A row that cannot be read has its error instead of a coupon.
pub(super) fn rows(batch: &RecordBatch, names: &PersonNames) -> Result<Vec<AuditedRow>, BadRow> {
    // The columns of a row agree with its events as both are stored.
    let stored = &PersonNames::default();
    let codes = decode::texts(batch, "code")?;
    let coupons: Vec<Result<Coupon, BadRow>> = match decode::coupons(batch, stored) {
        Ok(coupons) => coupons.into_iter().map(Ok).collect(),
        // One at a time, to find the rows that cannot be read.
        Err(_) => {
            let one =
                |row| decode::coupons(&batch.slice(row, 1), stored).map(|mut one| one.remove(0));
            (0..batch.num_rows()).map(one).collect()
        }
    };
    let audited = |(row, coupon): (usize, Result<Coupon, BadRow>)| match coupon {
        Ok(coupon) => {
            let differs = disagreement(batch, row, &coupon)?;
            let code = coupon.code().to_string();
            Ok(AuditedRow { code, coupon: Ok(Box::new(names.coupon(coupon))), differs })
        }
        Err(error) => {
            let code = codes.needed(row)?.to_owned();
            Ok(AuditedRow { code, coupon: Err(error.to_string()), differs: None })
        }
    };
    coupons.into_iter().enumerate().map(audited).collect()
}

/// The first column that contradicts the events. The state is compared where the coupon is decoded.
fn disagreement(
    batch: &RecordBatch,
    row: usize,
    coupon: &Coupon,
) -> Result<Option<String>, BadRow> {
    let redemption = coupon.redemption();
    let worth = redemption.and_then(|it| it.worth);
    let texts = [
        ("holder", coupon.holder().map(|it| it.as_str())),
        ("time_zone", Some(coupon.zone().name())),
        ("order_ref", redemption.map(|it| it.order.as_str())),
        ("currency", worth.map(|it| it.currency.as_str())),
    ];
    for (name, folded) in texts {
        let column = decode::texts(batch, name)?;
        let stored = column.get(row);
        if stored != folded {
            return Ok(Some(format!("{name} is {stored:?}, its events say {folded:?}")));
        }
    }
    let instants = [
        ("expires_at", Some(coupon.expires_at().0)),
        ("issued_at", coupon.issued_at().map(|it| it.0)),
        ("redeemed_at", redemption.map(|it| it.at.0)),
    ];
    for (name, folded) in instants {
        let stored = decode::instants(batch, name)?.get(row).map(|at| at.0);
        if stored != folded {
            return Ok(Some(format!("{name} is {stored:?}, its events say {folded:?}")));
        }
    }
    let amounts = [
        ("order_amount", worth.and_then(|it| it.order_amount)),
        ("discount", worth.and_then(|it| it.discount)),
    ];
    for (name, folded) in amounts {
        let stored = decode::longs(batch, name)?.amount(row)?;
        if stored != folded {
            return Ok(Some(format!("{name} is {stored:?}, its events say {folded:?}")));
        }
    }
    Ok(None)
}
