package shop;

import couponry.RetryingHttpClient;
import java.net.http.HttpClient;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.ResponseEntity;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientResponseException;
import org.springframework.web.context.request.RequestContextHolder;
import org.springframework.web.context.request.ServletRequestAttributes;

/**
 * A shop with Spring Boot that takes coupons of couponry: check-out with a hold, payment, refund, wallet, webhook.
 *
 * <pre>COUPONRY=http://127.0.0.1:8080 COUPONRY_TOKEN=... WEBHOOK_SECRET=whsec_... java -jar target/shop-1.jar</pre>
 *
 * The token is one of a shop: {@code couponry token --role shop}. The orders are in memory; a real shop has a database.
 */
@SpringBootApplication
public class Shop {
  public static void main(String[] arguments) {
    SpringApplication.run(Shop.class, arguments);
  }

  /** Calls couponry, and sends requests again as its answers say. */
  @Bean
  RestClient couponry() {
    HttpClient client = new RetryingHttpClient(HttpClient.newHttpClient(), RetryingHttpClient.GIVE_UP_AFTER);
    return RestClient.builder()
        .baseUrl(System.getenv("COUPONRY"))
        .defaultHeader("Authorization", "Bearer " + System.getenv("COUPONRY_TOKEN"))
        .requestInterceptor((request, body, next) -> {
          request.getHeaders().set("Accept-Language", languageOfBuyer());
          return next.execute(request, body);
        })
        .requestFactory(new JdkClientHttpRequestFactory(client))
        .build();
  }

  /** couponry writes the titles of its problems in Korean or in English. */
  private static String languageOfBuyer() {
    ServletRequestAttributes buyer = (ServletRequestAttributes) RequestContextHolder.currentRequestAttributes();
    return Objects.requireNonNullElse(buyer.getRequest().getHeader("Accept-Language"), "*");
  }

  record CheckOut(String user, String code) {}

  /** What the customer reads where couponry refuses. */
  record Refused(String code, String say) {}

  @RestController
  static class Orders {
    private final RestClient couponry;
    private final Signatures signatures = Signatures.of(System.getenv("WEBHOOK_SECRET"));
    private final Map<String, CheckOut> orders = new ConcurrentHashMap<>();
    private final Set<String> seen = ConcurrentHashMap.newKeySet();

    Orders(RestClient couponry) {
      this.couponry = couponry;
    }

    private Map<?, ?> call(String path, Object body, Object... in) {
      return couponry.method(HttpMethod.POST).uri(path, in).body(body).retrieve().body(Map.class);
    }

    private CheckOut orderOf(String order) {
      CheckOut found = orders.get(order);
      if (found == null) {
        throw new NoOrder();
      }
      return found;
    }

    /** Reserves the coupon until the payment, so that nobody can use it meanwhile. */
    @PostMapping("/orders/{order}/check-out")
    Map<String, ?> checkOut(@PathVariable String order, @RequestBody CheckOut wanted) {
      Map<String, ?> hold = Map.of("user_id", wanted.user, "order_ref", order, "seconds", 900);
      Map<?, ?> held = call("/v1/coupons/{code}/hold", hold, wanted.code);
      orders.put(order, wanted);
      return Map.of("held_until", held.get("until"));
    }

    /** Redeems when the payment has succeeded. The same order may call it again: it is one redemption. */
    @PostMapping("/orders/{order}/pay")
    Map<String, ?> pay(@PathVariable String order) {
      CheckOut wanted = orderOf(order);
      Map<String, ?> redeem = Map.of("user_id", wanted.user, "order_ref", order);
      return Map.of("redeemed_at", call("/v1/coupons/{code}/redeem", redeem, wanted.code).get("redeemed_at"));
    }

    /** The customer went away: the coupon is free at once, and not only when the hold ends. */
    @PostMapping("/orders/{order}/give-up")
    Map<String, ?> giveUp(@PathVariable String order) {
      call("/v1/coupons/{code}/release", Map.of("order_ref", order), orderOf(order).code);
      orders.remove(order);
      return Map.of();
    }

    /** The customer gets the coupon back. A new purchase with it needs another order. */
    @PostMapping("/orders/{order}/refund")
    Map<String, ?> refund(@PathVariable String order) {
      Map<String, ?> cancel = Map.of("order_ref", order, "reason", "refund");
      Map<?, ?> cancelled = call("/v1/coupons/{code}/cancel-redemption", cancel, orderOf(order).code);
      return Map.of("state", ((Map<?, ?>) cancelled.get("coupon")).get("state"));
    }

    /** What a customer has, with the names of the campaigns. */
    @GetMapping("/wallet/{user}")
    List<?> wallet(@PathVariable String user) {
      String path = "/v1/coupons?user_id={user}&state=issued&expired=false&order=soonest&expand=campaign";
      List<?> coupons = (List<?>) couponry.get().uri(path, user).retrieve().body(Map.class).get("data");
      return coupons.stream()
          .map(it -> (Map<?, ?>) it)
          .map(it -> Map.of("code", it.get("code"), "name", ((Map<?, ?>) it.get("campaign")).get("name"), "until", it.get("expires_on")))
          .toList();
    }

    /** What couponry posts. An event may come twice, so its id is kept. */
    @PostMapping("/couponry-events")
    ResponseEntity<?> events(
        @RequestBody byte[] body,
        @RequestHeader(value = "webhook-id", defaultValue = "") String id,
        @RequestHeader(value = "webhook-timestamp", defaultValue = "") String at,
        @RequestHeader(value = "webhook-signature", defaultValue = "") String signature) {
      if (!signatures.areRight(id, at, signature, body)) {
        return ResponseEntity.status(401).body(new Refused("NOT_SIGNED", "The signature is wrong"));
      }
      seen.add(id);
      return ResponseEntity.ok(Map.of("seen", seen.size()));
    }

    static class NoOrder extends RuntimeException {}

    @ExceptionHandler
    ResponseEntity<Refused> refused(NoOrder none) {
      return ResponseEntity.status(404).body(new Refused("NO_ORDER", "Check out first"));
    }

    /** A problem of couponry becomes ours, in the words for people and in the buyer's language. */
    @ExceptionHandler
    ResponseEntity<Refused> refused(RestClientResponseException error) {
      Map<?, ?> problem = error.getResponseBodyAs(Map.class);
      HttpStatusCode status = error.getStatusCode();
      return ResponseEntity.status(status)
          .body(new Refused(String.valueOf(problem.get("code")), String.valueOf(problem.get("title"))));
    }
  }
}
