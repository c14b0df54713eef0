//! The template of an import: a file to begin with.

/// Every column, and one row of each state. Its codes are not valid, so a row that is left in the file is rejected.
pub const TEMPLATE: &str = "\
code,valid_from,expires_at,state,user_id,issued_at,redeemed_at,order_ref,order_amount,discount,currency
EXAMPLE_1,2027-01-01,2027-12-31,available,,,,,,,
EXAMPLE_2,2027-01-01,2027-12-31,issued,user-1,2027-01-15,,,,,
EXAMPLE_3,2026-01-01,2026-12-31,redeemed,user-2,2026-03-01,2026-03-15T09:30:00+09:00,order-991,30000,3000,KRW
EXAMPLE_4,2026-01-01,2026-12-31,void,,,,,,,
";
