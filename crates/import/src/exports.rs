//! Exports of other systems, and our own, that are read without a column map.
//!
//! Each row says by which columns an export is known, what its columns mean, and which of them say
//! nothing about a coupon here. A column that is in none of the lists refuses the file, as in any
//! other file. All names are as [`normal`] writes them.

use super::columns::{KnownColumn, normal};
use super::states::StateSign;
use super::states::StateWord::{Available, Void};

#[derive(Debug)]
pub struct KnownExport {
    pub name: &'static str,
    /// What it says that cannot come along.
    pub left_out: &'static str,
    /// The columns that only this export has together.
    known_by: &'static str,
    /// Each column with what it is: a column of ours, or one of [`SIGNS`].
    columns: &'static str,
    /// With `*` at its end: every column that begins so.
    skipped: &'static str,
}

/// How a column says a state. A use whose time nobody exported makes a coupon void: it is over, and not
/// redeemed at a made-up time.
const SIGNS: [(&str, StateSign); 4] = [
    ("uses", StateSign::Uses(Void)),
    ("limit", StateSign::Limit),
    ("active", StateSign::Flag { yes: Available, no: Void }),
    ("deleted", StateSign::Flag { yes: Void, no: Available }),
];

const OWN: &str = "couponry";

static EXPORTS: [KnownExport; 7] = [
    KnownExport {
        name: OWN,
        left_out: "pauses, holds and extensions",
        known_by: "code campaignid batchid state holder tier version",
        columns: "code=code valid_from=validfrom expires_at=expiresat state=state user_id=holder
            issued_at=issuedat redeemed_at=redeemedat order_ref=orderref order_amount=orderamount
            discount=discount currency=currency",
        skipped: "campaignid batchid expired paused expireson timezone helduntil createdat modifiedat
            version tier",
    },
    KnownExport {
        name: "Voucherify",
        left_out: "when a voucher was used and by whom (used ones come as void), balances, metadata",
        known_by: "code vouchertype redemptioncount",
        columns: "code=code valid_from=startdate expires_at=expirationdate user_id=customersourceid
            uses=redemptioncount limit=redemptionquantity active=active deleted=deleted",
        skipped: "vouchertype value discounttype campaign campaignid category giftbalance loyaltybalance
            qrcode barcode metadata* id isreferralcode createdat updatedat validitytimeframe
            validitydayofweek discountamountlimit additionalinfo customerid discountunittype
            discountuniteffect",
    },
    KnownExport {
        name: "Talon.One",
        left_out: "when a coupon was used and by whom (used ones come as void), discounts, attributes",
        known_by: "value counter limitval campaignid",
        columns: "code=value valid_from=startdate expires_at=expirydate user_id=recipientintegrationid
            uses=counter limit=limitval deleted=deleted",
        skipped: "accountid applicationid attributes batchid campaignid created deletedchangelogid
            discountcounter discountlimitval id importid isreservationmandatory limits referralid
            reservation reservationcounter reservationlimitval",
    },
    KnownExport {
        name: "Shopify (Matrixify)",
        left_out: "when a code was used and by whom (used ones come as void), what the discount is",
        known_by: "code startsat limittotaltimes",
        columns: "code=code valid_from=startsat expires_at=endsat uses=codeusedcount uses=usedcount
            limit=limittotaltimes",
        // An expired code has its dates; the total is that of all codes of a discount.
        skipped: "id title command codecommand method status totalusedcount type value valuetype summary
            limitoneusepercustomer limitusesperorder minimumrequirement minimumvalue purchasetype*
            combineswith* eligibility:* appliesto:* buyxgety:* freeshipping:* createdat updatedat",
    },
    KnownExport {
        name: "WooCommerce",
        left_out: "when a coupon was used and by whom (used ones come as void), amounts, restrictions",
        known_by: "posttitle couponamount usagecount",
        columns: "code=posttitle expires_at=expirydate uses=usagecount limit=usagelimit state=poststatus",
        // date_expires says the same as expiry_date, in seconds.
        skipped: "id postname postexcerpt postparent menuorder postdate postdategmt postauthor discounttype
            couponamount individualuse productids excludeproductids usagelimitperuser limitusagetoxitems
            dateexpires freeshipping productcategories excludeproductcategories excludesaleitems
            minimumamount maximumamount customeremail usedby",
    },
    KnownExport {
        name: "Magento",
        left_out: "dates (the campaign's are taken), when a coupon was used (used ones come as void)",
        known_by: "couponcode created timesused",
        columns: "code=couponcode uses=timesused",
        skipped: "created used uses",
    },
    KnownExport {
        name: "Stripe",
        left_out: "when a code was used (used ones come as void), what the coupon is",
        known_by: "code active timesredeemed",
        columns: "code=code expires_at=expiresat user_id=customer uses=timesredeemed
            limit=maxredemptions active=active",
        skipped: "id object coupon couponid promotion created livemode metadata* customeraccount restrictions",
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnMeaning {
    Column(KnownColumn),
    State(StateSign),
    Skipped,
}

impl KnownExport {
    pub(crate) fn of(header: &[&str]) -> Option<&'static KnownExport> {
        let names: Vec<String> = header.iter().map(|cell| normal(cell)).collect();
        let has = |name: &str| names.iter().any(|it| it == name);
        EXPORTS.iter().find(|export| export.known_by.split_whitespace().all(has))
    }

    /// `None` if the export has no such column.
    pub(crate) fn meaning(&self, name: &str) -> Option<ColumnMeaning> {
        let name = normal(name);
        let mut columns = self.columns();
        if let Some((meaning, _)) = columns.find(|(_, it)| *it == name) {
            let sign = SIGNS.iter().find(|(word, _)| *word == meaning);
            return match (sign, KnownColumn::named(meaning)) {
                (Some((_, sign)), _) => Some(ColumnMeaning::State(*sign)),
                (None, Some(KnownColumn::State)) => Some(ColumnMeaning::State(StateSign::Word)),
                (None, column) => column.map(ColumnMeaning::Column),
            };
        }
        let is_skipped = |it: &str| match it.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => it == name,
        };
        self.skipped.split_whitespace().any(is_skipped).then_some(ColumnMeaning::Skipped)
    }

    /// What each column is, and its name.
    fn columns(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.columns.split_whitespace().filter_map(|entry| entry.split_once('='))
    }

    pub(crate) fn is_own(&self) -> bool {
        self.name == OWN
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_normal_and_say_one_thing() {
        for export in &EXPORTS {
            let skipped = export.skipped.split_whitespace().map(|it| it.trim_end_matches('*'));
            let names: Vec<&str> = export.columns().map(|(_, name)| name).chain(skipped).collect();
            for name in &names {
                assert_eq!(normal(name), **name, "{}", export.name);
                assert!(export.meaning(name).is_some(), "{}: {name}", export.name);
            }
            let each: HashSet<&&str> = names.iter().collect();
            assert_eq!(each.len(), names.len(), "{}: a name is there twice", export.name);
            for name in export.known_by.split_whitespace() {
                assert!(names.contains(&name), "{}: {name}", export.name);
            }
        }
    }
}
