//! What comes after a campaign was made: its codes, the call of the shop, and a test with one coupon.

use coupon::campaign::Handout;
use engine::CampaignView;
use serde_json::{Value, json};

use crate::desk::PageContext;
use crate::fields::encoded;
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::text::IsolatedText;

/// An order of a customer that whoever tries the calls has not got.
const ORDER: (&str, &str) = ("test-customer", "test-1");

pub(crate) struct NextSteps {
    /// What to do about the codes, and where.
    pub(crate) codes: String,
    pub(crate) links: Vec<(String, &'static str)>,
    /// When the shop calls, and the call.
    pub(crate) shop: &'static str,
    pub(crate) call: String,
    /// The call that uses a coupon, if that is another one.
    pub(crate) redeem: Option<String>,
    /// Where somebody gives a coupon to the customer of the test.
    pub(crate) gives: bool,
}

impl PageContext {
    /// For whoever makes campaigns, until the first coupon is given out or used.
    pub(crate) fn next_steps(&self, view: &CampaignView) -> Option<NextSteps> {
        let counts = view.counts();
        let is_new = counts.issued + counts.redeemed == 0;
        if !is_new || self.phase(view) == CampaignPhase::Ended {
            return None;
        }
        self.may(ConsoleAction::CreateCampaign).then(|| self.steps(view))
    }

    fn steps(&self, view: &CampaignView) -> NextSteps {
        let (t, campaign) = (self.t, &view.campaign);
        let word = campaign.shared_code.as_ref().map(ToString::to_string).unwrap_or_default();
        let at = format!("/console/campaigns/{}", encoded(campaign.id.as_str()));
        let (codes, links) = match campaign.handout {
            _ if view.counts().stock == 0 => {
                let import = (format!("{at}/import"), t.action(&ConsoleAction::Import));
                let links = vec![(format!("{at}/stock"), t.more_stock()), import];
                (t.step_no_coupons().to_owned(), links)
            }
            Handout::Shop | Handout::SelfService => (t.step_no_file().to_owned(), Vec::new()),
            Handout::Bearer => {
                let links = vec![(format!("{at}/codes"), t.download_codes())];
                (t.step_hand_out().to_owned(), links)
            }
            Handout::Shared => (t.step_tell(IsolatedText(&word)), Vec::new()),
        };
        let redeem = |code: &str| {
            let body = self.order(view);
            self.curl("POST", &format!("/v1/coupons/{}/redeem", encoded(code)), body)
        };
        let issue = || {
            let path = format!("/v1/campaigns/{}/issue", encoded(campaign.id.as_str()));
            self.curl("POST", &path, json!({"user_id": ORDER.0}))
        };
        let is_issued = matches!(campaign.handout, Handout::Shop | Handout::SelfService);
        NextSteps {
            codes,
            links,
            shop: t.step_shop_calls(&campaign.handout),
            call: match campaign.handout {
                Handout::Shop | Handout::SelfService => issue(),
                Handout::Bearer => redeem("CODE"),
                Handout::Shared => redeem(&word),
            },
            redeem: is_issued.then(|| redeem("CODE")),
            gives: is_issued && self.may(ConsoleAction::Issue),
        }
    }

    /// The order of a test, with an amount if the discount depends on it.
    fn order(&self, view: &CampaignView) -> Value {
        let worth = &view.campaign.worth;
        let least = worth.benefit.map(|it| it.min_order.unwrap_or(30_000));
        let currency = worth.benefit.and(worth.currency).map(|it| it.as_str());
        json!({"user_id": ORDER.0, "order_ref": ORDER.1, "order_amount": least, "currency": currency})
    }
}
