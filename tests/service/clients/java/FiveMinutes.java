import couponry.RetryingHttpClient;
import couponry.api.CampaignsApi;
import couponry.api.CouponsApi;
import couponry.client.ApiClient;
import couponry.client.ApiException;
import couponry.model.Campaign;
import couponry.model.Check;
import couponry.model.Coupon;
import couponry.model.CouponState;
import couponry.model.CouponWithEvents;
import couponry.model.IssueRequest;
import couponry.model.NewCampaign;
import couponry.model.RedeemRequest;
import couponry.model.Redemption;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.Objects;

/**
 * The five minutes of the README, through the client that openapi-generator made of the server's /openapi.json, above
 * RetryingHttpClient. COUPONRY and TOKEN are the README's.
 */
public class FiveMinutes {
  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(System.getenv("COUPONRY"));
    client.setRequestInterceptor(it -> it.header("Authorization", "Bearer " + System.getenv("TOKEN")));
    client.setHttpClientBuilder(RetryingHttpClient.builder());
    CampaignsApi campaigns = new CampaignsApi(client);
    CouponsApi coupons = new CouponsApi(client);

    NewCampaign terms =
        new NewCampaign()
            .campaignId("spring")
            .stock(10_000_000_000L)
            .expiresOn(LocalDate.parse("2030-12-31"))
            .timeZone("Asia/Seoul");
    Campaign campaign = campaigns.createCampaign(terms, null);
    check("create: stock", campaign.getStock(), 10_000_000_000L);
    check("create: last day", campaign.getExpiresOn(), LocalDate.parse("2030-12-31"));
    OffsetDateTime ends = OffsetDateTime.parse("2030-12-31T15:00:00Z");
    check("create: expiry", campaign.getExpiresAt().toInstant(), ends.toInstant());

    Coupon issued = campaigns.issue("spring", new IssueRequest().userId("김철수"), null);
    String code = issued.getCode();
    check("issue: holder", issued.getHolder(), "김철수");
    check("issue: state", issued.getState(), CouponState.ISSUED);
    check("issue: again", campaigns.issue("spring", new IssueRequest().userId("김철수"), null).getCode(), code);

    CouponWithEvents read = coupons.readCoupon(code, null, null);
    check("read: order", read.getOrderRef(), null);
    check("read: events", read.getEvents().size(), 1);

    RedeemRequest order = new RedeemRequest().userId("김철수").orderRef("991");
    Check able = coupons.check(code, order);
    check("check: redeemable", able.getRedeemable(), true);
    check("check: refusal", able.getRefusal(), null);
    Redemption redeemed = coupons.redeem(code, order, null);
    check("redeem: order", redeemed.getOrderRef(), "991");
    check("redeem: a repeat", coupons.redeem(code, order, null), redeemed);
    try {
      coupons.redeem(code, new RedeemRequest().userId("김철수").orderRef("992"), null);
      throw new AssertionError("another order has redeemed it");
    } catch (ApiException refused) {
      check("another order: status", refused.getCode(), 409);
      String body = refused.getResponseBody();
      check("another order: " + body, body.contains("\"code\":\"ALREADY_REDEEMED\""), true);
    }
  }

  private static void check(String what, Object found, Object wanted) {
    if (!Objects.equals(found, wanted)) {
      throw new AssertionError(what + ": found " + found + ", wanted " + wanted);
    }
  }
}
