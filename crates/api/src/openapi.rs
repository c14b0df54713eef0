//! The document of the interface, generated from the handlers; which problems an operation can
//! answer with is added from one table.

use std::collections::BTreeMap;
use std::sync::Arc;

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AllOf, Object, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, PathItem, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::handlers::{accounts, batches, campaigns, coupons, health, lists};
use crate::problem::{Code, ProblemBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "couponry",
        description = "The store for coupons that are worth money exactly once.\n\n\
            Every write is named by its caller (`campaign_id`, `batch_id`, `issue_ref`, \
            `order_ref`), for ever: send a request again after any failure, and the answer says \
            what happened. An answer that is not 2xx is a problem document; decide by its `code` \
            and `retry`. A write may also be answered 503 OUTCOME_UNKNOWN: repeat it.\n\n\
            Instants are RFC 3339 in UTC; an `expires_at` is exclusive. Unknown fields and \
            parameters are refused by name. Lists go on at `next_cursor`.",
    ),
    tags(
        (name = "coupons", description = "What happens to one coupon."),
        (name = "campaigns", description = "Offers, their limits and dates."),
        (name = "batches", description = "Where a campaign's coupons come from."),
        (name = "accounts", description = "Signing in, where there is no identity provider."),
        (name = "health", description = "For load balancers and operators."),
    ),
    components(schemas(ProblemBody)),
    security(("token" = [])),
    modifiers(&Bearer)
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_with(Default::default);
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("A token with `iss`, `aud`, `sub`, `exp` and `role`."))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
        // Taken from the manifest, which names none.
        document.info.license = None;
    }
}

/// Every route of the interface, with its document.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(coupons::read_coupon))
        .routes(routes!(coupons::check))
        .routes(routes!(coupons::hold))
        .routes(routes!(coupons::release))
        .routes(routes!(coupons::redeem))
        .routes(routes!(coupons::cancel_redemption))
        .routes(routes!(coupons::issue_coupon))
        .routes(routes!(coupons::revoke))
        .routes(routes!(coupons::void))
        .routes(routes!(coupons::extend))
        .routes(routes!(lists::list_coupons))
        .routes(routes!(campaigns::create_campaign, campaigns::list_campaigns))
        .routes(routes!(campaigns::read_campaign, campaigns::change_campaign))
        .routes(routes!(campaigns::issue))
        .routes(routes!(batches::create_batch, batches::list_batches))
        .routes(routes!(batches::read_batch, batches::change_batch))
        .routes(routes!(batches::list_codes))
        .routes(routes!(batches::import_template))
        .routes(routes!(accounts::create_user))
        .routes(routes!(accounts::create_session))
        .routes(routes!(accounts::delete_user))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// The whole document, as `/openapi.json` serves it.
pub fn document() -> Document {
    completed(routes().split_for_parts().1)
}

/// What the handlers cannot say: shapes of one piece, and the problems of every operation.
pub(crate) fn completed(document: Document) -> Document {
    with_problems(without_all_of(document))
}

/// Writes each shape that extends another one out in full. Generators of clients read an `allOf`
/// with fields beside it as a new type, and forget which fields of the first may be null.
fn without_all_of(mut document: Document) -> Document {
    let Some(components) = &mut document.components else { return document };
    let known = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        if let RefOr::T(Schema::AllOf(parts)) = schema
            && let Some(whole) = in_one_piece(parts, &known)
        {
            *schema = RefOr::T(Schema::Object(whole));
        }
    }
    document
}

/// `None` where a part is no object: then it stays as it is.
fn in_one_piece(parts: &AllOf, known: &BTreeMap<String, RefOr<Schema>>) -> Option<Object> {
    let mut whole = Object::new();
    whole.description.clone_from(&parts.description);
    for part in &parts.items {
        let part = match part {
            RefOr::Ref(to) => known.get(to.ref_location.rsplit('/').next()?)?,
            part => part,
        };
        let RefOr::T(Schema::Object(part)) = part else { return None };
        whole.properties.extend(part.properties.clone());
        whole.required.extend(part.required.iter().cloned());
    }
    Some(whole)
}

use Code::{
    AlreadyIssued, AlreadyRedeemed, CancelClosed, ColdUnavailable, Expired, ExpiryDayClosed,
    Forbidden, Held, HistoryFull, Internal, Invalid, IssueClosed, LimitPerUser, LoginTaken,
    MethodNotAllowed, NameTaken, NotFound, NotIssuable, NotIssued, NotLater, NotRedeemed,
    NotStarted, OutcomeUnknown, Overloaded, Paused, RedemptionCancelled, SoldOut, StoreDamaged,
    StoreFull, StoreUnavailable, Timeout, TooLarge, TooMany, Unauthenticated, Unprocessable,
    UnsupportedMediaType, VersionConflict, Voided,
};

/// Whatever reads the store.
const READ: &[Code] = &[StoreDamaged, StoreUnavailable, Internal];
/// Whatever writes it.
const WRITE: &[Code] =
    &[Overloaded, StoreDamaged, StoreFull, StoreUnavailable, OutcomeUnknown, Internal];
/// Whatever wants a token.
const TOKEN: &[Code] = &[Unauthenticated, Forbidden];
/// Whatever takes a JSON body.
const BODY: &[Code] = &[Invalid, Timeout, TooLarge, UnsupportedMediaType];
/// Whatever may be about an archived coupon.
const COLD: &[Code] = &[NotFound, ColdUnavailable];
/// Whatever is asked about a coupon by a code that may be guessed.
const CODE: &[Code] = &[NotFound, ColdUnavailable, TooMany];

/// Which problems an operation can answer with. Every answer that a test meets is looked up here.
pub(crate) fn problems_of(operation: &str) -> Vec<Code> {
    let groups: &[&[Code]] = match operation {
        "read_coupon" => &[&[Invalid], TOKEN, CODE, READ],
        "list_coupons" => &[&[Invalid], COLD, TOKEN, READ],
        "check" => &[BODY, TOKEN, CODE, READ],
        "hold" => &[
            BODY,
            TOKEN,
            CODE,
            WRITE,
            &[NotIssued, AlreadyIssued, AlreadyRedeemed, RedemptionCancelled, Voided, Held],
            &[NotStarted, Expired, Paused, HistoryFull, SoldOut, LimitPerUser, IssueClosed],
        ],
        "redeem" => &[
            BODY,
            TOKEN,
            CODE,
            WRITE,
            &[NotIssued, AlreadyIssued, AlreadyRedeemed, RedemptionCancelled, Voided, Held],
            &[NotStarted, Expired, Paused, HistoryFull, SoldOut, LimitPerUser, IssueClosed],
        ],
        "release" => &[BODY, TOKEN, CODE, WRITE, &[AlreadyRedeemed, Voided, ExpiryDayClosed]],
        "cancel_redemption" => {
            &[BODY, TOKEN, CODE, WRITE, &[NotRedeemed, CancelClosed, Voided, HistoryFull]]
        }
        "issue_coupon" => &[
            BODY,
            TOKEN,
            CODE,
            WRITE,
            &[AlreadyIssued, AlreadyRedeemed, Voided, Held, Expired, Paused, IssueClosed],
            &[LimitPerUser, HistoryFull, NotIssuable],
        ],
        "revoke" => &[
            BODY,
            TOKEN,
            COLD,
            WRITE,
            &[NotIssued, AlreadyRedeemed, Voided, Held, ExpiryDayClosed, HistoryFull],
            &[VersionConflict, NameTaken],
        ],
        "void" => &[
            BODY,
            TOKEN,
            COLD,
            WRITE,
            &[AlreadyRedeemed, Held, VersionConflict, ExpiryDayClosed, HistoryFull],
        ],
        "extend" => &[
            BODY,
            TOKEN,
            COLD,
            WRITE,
            &[
                AlreadyRedeemed,
                Voided,
                Held,
                VersionConflict,
                NotLater,
                ExpiryDayClosed,
                HistoryFull,
            ],
        ],
        "create_campaign" => &[BODY, TOKEN, WRITE, &[NameTaken, ExpiryDayClosed, SoldOut]],
        "change_campaign" => &[BODY, TOKEN, &[NotFound], WRITE],
        "list_campaigns" => &[&[Invalid], TOKEN, READ],
        "read_campaign" => &[TOKEN, &[NotFound], READ],
        "issue" => &[
            BODY,
            TOKEN,
            COLD,
            WRITE,
            &[SoldOut, LimitPerUser, NotIssuable, NameTaken, Expired, Paused, IssueClosed],
            &[TooMany],
        ],
        "create_batch" => &[
            BODY,
            TOKEN,
            COLD,
            WRITE,
            &[NameTaken, Expired, ExpiryDayClosed, SoldOut, HistoryFull, Unprocessable],
        ],
        "list_batches" => &[&[Invalid, NotFound], TOKEN, READ],
        "read_batch" => &[&[NotFound], TOKEN, READ],
        "change_batch" => &[BODY, TOKEN, &[NotFound], WRITE],
        "list_codes" => &[&[Invalid], COLD, TOKEN, READ],
        "import_template" => &[&[Unauthenticated]],
        "create_user" => &[BODY, &[Forbidden, LoginTaken, TooMany], WRITE],
        "create_session" => &[BODY, &[Unauthenticated, Forbidden, TooMany], READ],
        "delete_user" => &[TOKEN, &[NotFound], WRITE],
        _ => &[],
    };
    groups.iter().flat_map(|group| group.iter().copied()).collect()
}

/// Adds to every operation the problems that it can answer with, by status.
fn with_problems(mut document: Document) -> Document {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let name = operation.operation_id.clone().unwrap_or_default();
            let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
            for code in problems_of(&name) {
                by_status.entry(code.status()).or_default().push(code);
            }
            by_status.entry(405).or_default().push(MethodNotAllowed);
            for (status, codes) in by_status {
                let response = problem_response(&codes);
                operation.responses.responses.insert(status.to_string(), RefOr::T(response));
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put]
        .into_iter()
        .flatten()
}

fn problem_response(codes: &[Code]) -> utoipa::openapi::Response {
    let lines = codes.iter().map(|code| {
        format!("- `{}`: {} (retry: {})", code.as_str(), code.title(), code.retry().as_str())
    });
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n"))
        .content("application/problem+json", content)
        .build()
}
