//! `couponry-kafka publish`: the event feed to a topic, each event once.
//!
//! The loop reads a page of the feed behind the cursor, writes its events and the new cursor in one
//! transaction, and begins again. The cursor is nowhere but in Kafka. A new publisher first fences older
//! ones ([`ProducerSession::open`]), then reads the cursor that they have left: so no event of an older process
//! can become visible later.

mod cursor;
mod event;
mod feed;
mod session;

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use tokio::runtime::Runtime;

use crate::cli::{AfterGap, FeedOrigin, PublishArgs};
use crate::error::{BridgeError, Result};
use crate::http::ApiClient;
use crate::rate::ReportRate;
use crate::stop::StopSignal;
use crate::topics::TopicAdmin;
use cursor::{PublishCursor, PublisherTopics};
use event::EventPage;
use feed::{FeedAnswer, FeedClient};
use session::ProducerSession;

/// Pause at the end of the feed before it is read again.
const POLL_EVERY: Duration = Duration::from_millis(250);

/// If the feed has nothing to publish, its cursor is written after this time. It must be shorter than
/// `events_keep`, or the cursor would become too old.
const CURSOR_EVERY: Duration = Duration::from_secs(60);

const READER_CHARS_MAX: usize = 64;

/// Pause before a new session, after one that failed.
const SESSION_AGAIN: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &PublishArgs, runtime: &Runtime, stop: &StopSignal) -> Result<()> {
    let api = ApiClient::new(&args.service)?;
    let cursor_topic =
        args.cursor_topic.clone().unwrap_or_else(|| format!("{}.cursor", args.topic));
    let names = PublisherTopics { events: args.topic.clone(), cursor: cursor_topic };
    let group = names.transactional_id();
    let topics = TopicAdmin::new(&args.brokers, &group, runtime, stop);
    topics.make(&names.events, None, &[])?;
    cursor::make_topic(&topics, &names.cursor)?;
    // The name of a topic may be longer.
    let reader = format!("kafka:{}", args.topic).chars().take(READER_CHARS_MAX).collect();
    let feed = FeedClient { api: &api, runtime, stop, types: args.types.as_deref(), reader };
    let rate = ReportRate::default();
    let mut publisher = EventPublisher { args, names: &names, feed, stop, published: 0, rate };
    loop {
        match publisher.session() {
            Ok(why) => {
                tracing::warn!("beginning again where the cursor is: {why}");
                stop.pause(SESSION_AGAIN);
            }
            Err(BridgeError::Stopped) => break,
            Err(error) => return Err(error),
        }
    }
    tracing::info!(events = publisher.published, "stopped");
    Ok(())
}

struct EventPublisher<'a> {
    args: &'a PublishArgs,
    names: &'a PublisherTopics,
    feed: FeedClient<'a>,
    stop: &'a StopSignal,
    published: u64,
    rate: ReportRate,
}

impl EventPublisher<'_> {
    /// Publishes until a transaction is lost, and returns why it is. A new session finds out how far it came.
    fn session(&mut self) -> Result<KafkaError> {
        let session = ProducerSession::open(&self.args.brokers, self.names, self.stop)?;
        let stored = cursor::read(&self.args.brokers, self.names, self.stop)?;
        let mut cursor = stored.unwrap_or_else(|| match self.args.from {
            FeedOrigin::Oldest => PublishCursor::default(),
            FeedOrigin::Newest => PublishCursor::newest(),
        });
        tracing::info!(after = cursor.after, "publishing from {}", cursor.place());
        let mut written = (cursor.after.clone(), Instant::now());
        loop {
            let page = match self.feed.read(&cursor)? {
                FeedAnswer::Page(page) => page,
                FeedAnswer::Gone { detail, next } => {
                    cursor = self.after_gap(&cursor, &detail, next)?;
                    continue;
                }
            };
            let next = cursor.behind(&page);
            let is_news = next.after != written.0;
            let is_old = is_news && written.1.elapsed() >= CURSOR_EVERY;
            if !page.events.is_empty() || is_old || !cursor.is_written {
                if let Err(lost) = session.send(&page.events, &self.args.source, &next)? {
                    return Ok(lost);
                }
                written = (next.after.clone(), Instant::now());
                self.published += page.events.len() as u64;
            }
            cursor = next;
            self.report(&page);
            if !page.has_more {
                self.stop.pause(POLL_EVERY);
            }
        }
    }

    /// Logs a line if it is time.
    fn report(&mut self, page: &EventPage) {
        let events = self.published;
        if let Some(rate) = self.rate.of(events) {
            tracing::info!(
                events,
                per_second = rate.round(),
                is_behind = page.has_more,
                last_event_at = page.events.last().map(|event| event.at.as_str()),
                "published {events} events, {rate:.0} a second; {}",
                if page.has_more { "more are waiting" } else { "at the end of the feed" }
            );
        }
    }

    /// The cursor behind a gap, if the flag allows to go on.
    fn after_gap(&self, at: &PublishCursor, detail: &str, next: String) -> Result<PublishCursor> {
        let lost = format!(
            "the events behind the cursor are gone ({detail}): not published is what happened after {}",
            at.place()
        );
        match self.args.after_gap {
            AfterGap::Stop => Err(BridgeError::Failed(format!(
                "CURSOR_GONE: {lost}. Compare the data of your readers with an export (`couponry \
                 export coupons`), then start once with --after-gap continue"
            ))),
            AfterGap::Continue => {
                tracing::error!(
                    cursor = at.after,
                    last_event_id = at.event_id,
                    last_event_at = at.at,
                    next_cursor = next,
                    "{lost}; going on, as --after-gap says"
                );
                Ok(at.after_gap(next))
            }
        }
    }
}
