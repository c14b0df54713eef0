//! The same over HTTP.

use serde_json::json;

use super::{CampaignCommand, create, list};
use crate::failure::{CliError, Ended};
use crate::output;
use crate::remote::{Remote, Repeat, Said};

pub(super) async fn run(remote: &Remote, command: &CampaignCommand) -> Result<Ended, CliError> {
    match command {
        CampaignCommand::Create(flags) => {
            let body = create::body(flags)?;
            let repeat = repeat(body["campaign_id"].is_string());
            shown(remote.post(&["campaigns"], &body, repeat).await?)?;
        }
        CampaignCommand::List { json } => {
            let mut list = list::List::begin(*json);
            remote.pages(&["campaigns"], Vec::new(), |page| list.put(page)).await?;
            list.end()?;
        }
        CampaignCommand::Show { id } => {
            output::say_json(&remote.get(&["campaigns", id.as_str()], &[]).await?)?;
        }
        CampaignCommand::Pause { id, reason } | CampaignCommand::Resume { id, reason } => {
            let paused = matches!(command, CampaignCommand::Pause { .. });
            let reason = reason.as_ref().map(|it| it.as_str());
            let change = json!({"paused": paused, "reason": reason});
            output::say_json(&remote.patch(&["campaigns", id.as_str()], &change).await?.body)?;
        }
        CampaignCommand::Generate { id, count, batch } => {
            let body = json!({"count": count, "batch_id": batch.as_ref().map(|it| it.as_str())});
            let path = ["campaigns", id.as_str(), "batches"];
            shown(remote.post(&path, &body, repeat(batch.is_some())).await?)?;
        }
    }
    Ok(Ended::Done)
}

/// Without a name each call makes another one.
fn repeat(is_named: bool) -> Repeat {
    match is_named {
        true => Repeat::Harmless,
        false => Repeat::Harmful,
    }
}

fn shown(said: Said) -> Result<(), CliError> {
    if said.is_replay {
        super::note_same();
    }
    output::say_json(&said.body)
}
