//! Calls that make and change endpoints.

use std::time::Duration;

use webhooks::{
    Announcement, DATA_BYTES_MAX, ENDPOINTS_MAX, EndpointChanges, EndpointState, NewEndpoint,
    OVERLAP_MAX, Options, Rotation, WebhookError,
};

use crate::world::{World, endpoint, quick};

const URL: &str = "https://hooks.example/in";

#[tokio::test]
async fn made_once() {
    let world = World::new(quick());
    let webhooks = world.open();
    let (made, secret, is_new) = webhooks.create(endpoint("a", URL)).await.unwrap();
    assert!(is_new);
    assert_eq!((made.url.as_str(), made.state.clone()), (URL, EndpointState::Active));
    assert!(secret.reveal().starts_with("whsec_"));
    let (again, same, is_new) = webhooks.create(endpoint("a", URL)).await.unwrap();
    assert!(!is_new);
    assert_eq!((again, same.reveal()), (made, secret.reveal()));
    // The values with which it was made count, not those of now.
    let changes = EndpointChanges { ordered: Some(true), ..EndpointChanges::default() };
    webhooks.update("a", changes).await.unwrap();
    let (again, _, is_new) = webhooks.create(endpoint("a", URL)).await.unwrap();
    assert!(!is_new && again.ordered);
    let other = webhooks.create(endpoint("a", "https://other.example/")).await;
    assert!(matches!(other, Err(WebhookError::NameTaken)));
    let unnamed = || NewEndpoint { webhook_id: None, ..endpoint("", URL) };
    let (one, _, _) = webhooks.create(unnamed()).await.unwrap();
    let (two, _, _) = webhooks.create(unnamed()).await.unwrap();
    assert_ne!(one.webhook_id, two.webhook_id);
    assert!(one.webhook_id.starts_with("whk_"), "{}", one.webhook_id);
    webhooks.delete("a").await.unwrap();
    assert!(webhooks.create(endpoint("a", URL)).await.unwrap().2, "the name is free again");
}

#[tokio::test]
async fn changed_and_listed() {
    let world = World::new(quick());
    let webhooks = world.open();
    for name in ["b", "a", "c"] {
        webhooks.create(endpoint(name, URL)).await.unwrap();
    }
    let names = |found: Vec<webhooks::Endpoint>| -> String {
        found.into_iter().map(|it| it.webhook_id).collect()
    };
    let cases = [(None, 10, "abc"), (None, 2, "ab"), (Some("b"), 2, "c"), (Some("c"), 2, "")];
    for (after, limit, want) in cases {
        let after = after.map(str::to_owned);
        assert_eq!(names(webhooks.list(after.clone(), limit).await.unwrap()), want, "{after:?}");
    }
    let changes = EndpointChanges {
        url: Some("https://other.example/".to_owned()),
        description: Some(Some("for people".to_owned())),
        types: Some(Some(["coupon.held".to_owned()].into())),
        campaign: Some(Some("spring".to_owned())),
        ordered: Some(true),
    };
    let changed = webhooks.update("a", changes).await.unwrap();
    assert_eq!(webhooks.get("a").await.unwrap(), changed);
    assert_eq!(changed.description.as_deref(), Some("for people"));
    assert_eq!(changed.types, Some(["coupon.held".to_owned()].into()));
    assert_eq!((changed.campaign.as_deref(), changed.ordered), (Some("spring"), true));
    let same = webhooks.update("a", EndpointChanges::default()).await.unwrap();
    assert_eq!(same, changed, "nothing is changed by nothing");
    let changes =
        EndpointChanges { types: Some(None), description: Some(None), ..Default::default() };
    let changed = webhooks.update("a", changes).await.unwrap();
    assert_eq!((changed.types, changed.description), (None, None));
}

#[tokio::test]
async fn refused() {
    let world = World::new(Options { allow_private: false, ..quick() });
    let webhooks = world.open();
    let field = |result: Result<(), WebhookError>| match result {
        Err(WebhookError::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let made = webhooks.create(endpoint("a", "https://10.0.0.1/")).await.map(|_| ());
    assert_eq!(field(made), "url");
    webhooks.create(endpoint("a", URL)).await.unwrap();
    let changes =
        EndpointChanges { url: Some("http://hooks.example/".into()), ..Default::default() };
    assert_eq!(field(webhooks.update("a", changes).await.map(|_| ())), "url");
    let rotate = |overlap| webhooks.rotate_secret("a", Rotation { rotate_ref: None, overlap });
    rotate(OVERLAP_MAX).await.unwrap();
    let longer = rotate(OVERLAP_MAX + Duration::from_secs(1)).await.map(|_| ());
    assert_eq!(field(longer), "overlap");
    let announcement = |length: usize| Announcement {
        id: "n1".to_owned(),
        event_type: "coupons.expiring".to_owned(),
        only_by_name: false,
        at_ms: 0,
        campaigns: Vec::new(),
        data: "x".repeat(length - 2).into(),
    };
    webhooks.announce(announcement(DATA_BYTES_MAX)).await.unwrap();
    let longer = webhooks.announce(announcement(DATA_BYTES_MAX + 1)).await.map(|_| ());
    assert_eq!(field(longer), "data");
    let unnamed = Announcement { id: String::new(), ..announcement(2) };
    assert_eq!(field(webhooks.announce(unnamed).await.map(|_| ())), "id");
    for found in [
        webhooks.get("b").await.map(|_| ()),
        webhooks.pause("b").await.map(|_| ()),
        webhooks.resume("b").await.map(|_| ()),
        webhooks.update("b", EndpointChanges::default()).await.map(|_| ()),
        webhooks.redeliver("b", 1).await.map(|_| ()),
    ] {
        assert!(matches!(found, Err(WebhookError::NotFound)), "{found:?}");
    }
}

#[tokio::test]
async fn as_many_as_there_may_be() {
    let world = World::new(quick());
    let webhooks = world.open();
    for nth in 0..ENDPOINTS_MAX {
        webhooks.create(endpoint(&format!("e{nth}"), URL)).await.unwrap();
    }
    let one_more = webhooks.create(endpoint("more", URL)).await;
    assert!(matches!(one_more, Err(WebhookError::TooMany)));
    assert!(!webhooks.create(endpoint("e0", URL)).await.unwrap().2, "a repeat is no further one");
    webhooks.delete("e0").await.unwrap();
    webhooks.create(endpoint("more", URL)).await.unwrap();
    assert_eq!(webhooks.gauge().await.unwrap().active, ENDPOINTS_MAX as u64);
}
