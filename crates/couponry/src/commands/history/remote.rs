//! The same over HTTP.

use super::{HistoryCommand, shown};
use crate::commands::export::remote::coupons;
use crate::commands::export::sink::{Sink, written};
use crate::failure::{CliError, Ended};
use crate::remote::Remote;

pub(super) async fn run(remote: &Remote, command: &HistoryCommand) -> Result<Ended, CliError> {
    match command {
        HistoryCommand::Code { code } => {
            shown(&remote.get(&["coupons", code.foreign().as_str()], &[]).await?)
        }
        HistoryCommand::User { user, into } => {
            let query = vec![("user_id", user.to_string()), ("order", "latest".to_owned())];
            let write = async |sink: &mut Sink<'_>| coupons(remote, query, sink).await;
            written(into, "coupons", write).await
        }
        HistoryCommand::ExpiresOn { date, time_zone, campaign, into } => {
            let mut query = vec![("expires_on", date.to_string())];
            query.extend(time_zone.as_ref().map(|it| ("time_zone", it.name().to_owned())));
            query.extend(campaign.as_ref().map(|it| ("campaign_id", it.to_string())));
            let write = async |sink: &mut Sink<'_>| coupons(remote, query, sink).await;
            written(into, "coupons", write).await
        }
    }
}
