//! The first page of a large wallet and of a small one.

use std::time::Instant;

use loadtest::stock;
use loadtest::wire::{self, HttpConnection};

use crate::Failure;
use crate::bench::Bench;
use crate::sides::Side;
use crate::table::median;

/// How long the first page of a large and of a small wallet takes, in milliseconds.
pub(crate) fn wallets(bench: &Bench, side: &Side, round: usize) -> Result<(f64, f64), Failure> {
    // Past some hundred at once, a caller's reads wait for their turn.
    const ASKED: usize = 50;
    let lines = |user: &str, count: u64, from: u64| -> String {
        let numbers = from..from + count;
        numbers.map(|number| format!("{},issued,{user}\n", stock::code(number))).collect()
    };
    if round == 0 {
        let from = 20_000_000_000;
        let text = format!(
            "{}{}{}",
            stock::HEADER,
            lines("wallet-large", 10_000, from),
            lines("wallet-small", 10, from + 10_000)
        );
        let mut request = Vec::new();
        let line = format_args!("POST /v1/campaigns/load/batches?batch_id=wallets");
        wire::head(&mut request, &side.target, &side.admin, line, Some(("text/csv", text.len())));
        request.extend_from_slice(text.as_bytes());
        bench.runtime.block_on(async {
            let mut connection = HttpConnection::new(side.target.clone().into());
            let status = connection.ask(&request).await?.status;
            let good = (200..300).contains(&status);
            good.then_some(()).ok_or_else(|| Failure::from(format!("wallets: {status}")))
        })?;
    }
    let time = |user: &str| -> Result<f64, Failure> {
        let mut request = Vec::new();
        let line = format_args!("GET /v1/coupons?user_id={user}&limit=10");
        wire::head(&mut request, &side.target, &side.shop, line, None);
        let mut times = Vec::new();
        bench.runtime.block_on(async {
            let mut connection = HttpConnection::new(side.target.clone().into());
            for _ in 0..ASKED {
                let begun = Instant::now();
                let status = connection.ask(&request).await?.status;
                times.push(begun.elapsed().as_secs_f64() * 1_000.0);
                if status != 200 {
                    return Err(Failure::from(format!("a wallet: {status}")));
                }
            }
            Ok(())
        })?;
        Ok(median(&times))
    };
    Ok((time("wallet-large")?, time("wallet-small")?))
}
