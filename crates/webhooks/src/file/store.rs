//! The file as a [`Store`].

use std::sync::Arc;

use async_trait::async_trait;

use super::leases::Terms;
use super::results::millis;
use super::{File, due, endpoints, leases, log, queue, results, secrets};
use crate::event::Matter;
use crate::options::RENEWALS;
use crate::post::Answered;
use crate::signature::Secret;
use crate::store::{
    Due, Moment, Passage, Reader, Room, Store, Target, TestTarget, Tried, Turn, Want, Written,
};
use crate::{
    Announced, Announcement, Delivery, DeliveryFilter, Endpoint, EndpointChanges, Gauge,
    NewEndpoint, Options, Rotation, WebhookError, retry,
};

#[async_trait]
impl Store for File {
    async fn create(
        &self,
        name: String,
        new: NewEndpoint,
        now: i64,
    ) -> Result<(Endpoint, Secret, bool), WebhookError> {
        self.sure.run(move |conn| endpoints::create(conn, &name, &new, now)).await
    }

    async fn list(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Endpoint>, WebhookError> {
        self.sure.run(move |conn| endpoints::list(conn, after.as_deref(), limit)).await
    }

    async fn get(&self, name: &str) -> Result<Endpoint, WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| endpoints::get(conn, &name)).await
    }

    async fn update(
        &self,
        name: &str,
        changes: EndpointChanges,
        now: i64,
    ) -> Result<Endpoint, WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| endpoints::update(conn, &name, changes, now)).await
    }

    async fn turn(&self, name: &str, turn: Turn, now: i64) -> Result<Endpoint, WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| endpoints::turn(conn, &name, turn, now)).await
    }

    async fn delete(&self, name: &str) -> Result<(), WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| endpoints::delete(conn, &name)).await
    }

    async fn rotate(
        &self,
        name: &str,
        rotation: Rotation,
        now: i64,
    ) -> Result<(Secret, bool), WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| secrets::rotate(conn, &name, &rotation, now)).await
    }

    async fn test_target(
        &self,
        name: &str,
        now: i64,
        trusted: bool,
    ) -> Result<TestTarget, WebhookError> {
        let name = name.to_owned();
        let target = move |conn: &mut _| {
            let webhook = endpoints::number_of(conn, &name)?;
            let url = endpoints::get(conn, &name)?.url;
            let secrets = secrets::signing(conn, webhook, now, trusted)?;
            Ok(TestTarget { webhook, url, secrets })
        };
        self.sure.run(target).await
    }

    async fn tested(
        &self,
        webhook: i64,
        matter: Matter<'_>,
        answered: &Answered,
        now: i64,
    ) -> Result<i64, WebhookError> {
        let (message, answered) = (matter.message(), answered.clone());
        let at_ms = matter.at_ms;
        self.sure.run(move |conn| log::tested(conn, webhook, &message, at_ms, &answered, now)).await
    }

    async fn deliveries(
        &self,
        name: &str,
        filter: DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<Delivery>, WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| log::list(conn, &name, &filter, limit)).await
    }

    async fn delivery(
        &self,
        name: &str,
        number: i64,
    ) -> Result<(Delivery, Option<String>), WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| log::get(conn, &name, number)).await
    }

    async fn redeliver(&self, name: &str, number: i64, now: i64) -> Result<Delivery, WebhookError> {
        let name = name.to_owned();
        self.sure.run(move |conn| log::redeliver(conn, &name, number, now)).await
    }

    async fn announce(
        &self,
        announcement: Announcement,
        pending_max: u64,
        now: i64,
    ) -> Result<Announced, WebhookError> {
        let queue = move |conn: &mut _| {
            queue::announce(conn, &Matter::from(&announcement), pending_max, now)
        };
        self.sure.run(queue).await
    }

    async fn has_asked(&self, event_type: &str) -> Result<bool, WebhookError> {
        let event_type = event_type.to_owned();
        self.sure.run(move |conn| queue::has_asked(conn, &event_type)).await
    }

    async fn gauge(&self, now: i64, failures_until_down: u64) -> Result<Gauge, WebhookError> {
        self.sure.run(move |conn| log::gauge(conn, now, failures_until_down)).await
    }

    async fn lease(&self, me: &str, options: &Options) -> Result<Vec<i64>, WebhookError> {
        let terms = Terms {
            lasts: millis(options.lease),
            rest: millis(options.lease / RENEWALS),
            ahead_max: millis(retry::ahead_max(options)),
        };
        let (me, options) = (me.to_owned(), options.clone());
        self.quick.run(move |conn| leases::lease(conn, &me, terms, || options.now())).await
    }

    async fn release(&self, me: &str) -> Result<(), WebhookError> {
        let me = me.to_owned();
        self.quick.run(move |conn| leases::release(conn, &me)).await
    }

    fn leads(&self) -> bool {
        true
    }

    async fn clean(&self, options: &Options, trusted: bool) -> Result<bool, WebhookError> {
        let options = options.clone();
        self.quick.run(move |conn| log::clean(conn, &options, options.now(), trusted)).await
    }

    async fn readers(
        &self,
        held: Vec<i64>,
        options: &Options,
    ) -> Result<Vec<Reader>, WebhookError> {
        let most = options.pending_max;
        self.quick.run(move |conn| queue::readers(conn, &held, most)).await
    }

    async fn read_on(
        &self,
        readers: Vec<Reader>,
        passage: Arc<Passage>,
        next: &str,
        now: i64,
    ) -> Result<usize, WebhookError> {
        let next = next.to_owned();
        self.quick.run(move |conn| queue::read_on(conn, &readers, &passage, &next, now)).await
    }

    async fn due(
        &self,
        wants: Vec<Want>,
        room: Room,
    ) -> Result<Vec<(Target, Vec<Due>)>, WebhookError> {
        let all = move |conn: &mut _| {
            let due = wants.iter().map(|want| due::due(conn, want, room));
            due.filter_map(Result::transpose).collect()
        };
        self.quick.run(all).await
    }

    async fn write(
        &self,
        tried: Vec<Tried>,
        moment: Moment,
        options: &Options,
    ) -> Result<Written, WebhookError> {
        let options = options.clone();
        self.quick.run(move |conn| results::write(conn, &tried, moment, &options)).await
    }
}
