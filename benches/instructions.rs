//! Repeats one redeem, issue or look-up in one thread, so that `benches/instructions` can count its
//! instructions: from the request that hyper hands over to the answer, with the store and its commit,
//! without sockets.
//!
//! `instructions look-up 1000` does a thousand and `instructions redeem 0` none, which leaves the set-up:
//! it is the same for any number.

use std::error::Error;
use std::sync::Arc;

use api::token::{LocalKey, LocalKeys, TokenService};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use cold::ColdStore;
use coupon::minted::CodeKey;
use coupon::time::Millis;
use engine::{ColdArchive, Engine, Role, SetClock};
use hot::HotStore;
use hot_sqlite::{SqliteHot, SqliteOptions};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

type Failure = Box<dyn Error + Send + Sync>;

/// 2026-11-20, noon.
const NOW: i64 = 20_777 * 86_400_000 + 43_200_000;

const KEY: [u8; 16] = *b"sixteen bytes ok";

const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";

/// Coupons in the store.
const COUPONS: usize = 2_000;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).filter(|it| !it.starts_with("--"));
    let (what, count) = (arguments.next(), arguments.next());
    // Without arguments, as in `cargo bench` and `cargo test`, it runs once to show that it works.
    let what = what.unwrap_or_else(|| "redeem".to_owned());
    let count: usize = count.map_or(Ok(1), |it| it.parse())?;
    if count > COUPONS {
        return Err(format!("there are {COUPONS} coupons").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(asked(&what, count))
}

async fn asked(what: &str, count: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let cold = ColdStore::on_folder(&folder.path().join("cold"), cold::ColdOptions::default());
    let cold = Arc::new(cold);
    let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
    let keys = vec![CodeKey::new(KEY)];
    let options = SqliteOptions { free_min_bytes: 0, ..SqliteOptions::default() };
    let store: Arc<dyn HotStore> =
        Arc::new(SqliteHot::open(folder.path(), keys, archive, options)?);
    let router = router::Router::new(vec![CodeKey::new(KEY)]);
    let clock = Arc::new(SetClock::at(Millis(NOW)));
    let tokens =
        TokenService::new(LocalKeys::new(vec![LocalKey::active("k1", SECRET, 0)?])?, None)?;
    let (token, _) = tokens.mint("shop", Role::Admin, 3_600_000, NOW)?;
    let app = api::app(Arc::new(Engine::new(store, cold, router, clock)), Arc::new(tokens));
    let caller = Caller { app, token };

    for (id, stock) in [("c", 0), ("minted", COUPONS)] {
        let terms = json!({"campaign_id": id, "stock": stock, "expires_on": "2027-12-31"});
        caller.ask("POST", "/v1/campaigns", terms.to_string(), "application/json").await?;
    }
    let code = |nth: usize| format!("CODE{nth:08}");
    let mut lines = "code,state,user_id\n".to_owned();
    lines.extend((0..COUPONS).map(|nth| format!("{},issued,u{nth}\n", code(nth))));
    caller.ask("POST", "/v1/campaigns/c/batches?batch_id=b", lines, "text/csv").await?;
    // From here on all caches are filled.
    caller.ask("GET", &format!("/v1/coupons/{}", code(0)), String::new(), "").await?;

    for nth in 0..count {
        let path = format!("/v1/coupons/{}", code(nth));
        match what {
            "look-up" => caller.ask("GET", &path, String::new(), "").await?,
            "redeem" => {
                let body = json!({"user_id": format!("u{nth}"), "order_ref": format!("o{nth}")});
                let path = format!("{path}/redeem");
                caller.ask("POST", &path, body.to_string(), "application/json").await?
            }
            "issue" => {
                // Named: a request without a name reads its campaign whenever a second has passed.
                let body = json!({"user_id": format!("u{nth}"), "issue_ref": format!("i{nth}")});
                let body = body.to_string();
                caller.ask("POST", "/v1/campaigns/minted/issue", body, "application/json").await?
            }
            other => return Err(format!("look-up, redeem or issue, not {other}").into()),
        };
    }
    Ok(())
}

struct Caller {
    app: Router,
    token: String,
}

impl Caller {
    async fn ask(&self, method: &str, path: &str, body: String, kind: &str) -> Result<(), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))?;
        let answer = self.app.clone().oneshot(request).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes();
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("{method} {path}: {status} {bytes:?}").into()),
        }
    }
}
