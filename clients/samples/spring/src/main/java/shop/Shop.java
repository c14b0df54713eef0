package shop;

import couponry.RetryingHttpClient;
import java.net.http.HttpClient;
import java.util.HashMap;
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
 * A shop with Spring Boot that takes coupons of couponry: check-out with a hold of all coupons, payment, refund, wallet, webhook.
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

  /** The amount is in won, without any coupon. */
  record CheckOut(String user, List<String> codes, long amount) {
    Map<String, Object> asSent() {
      return Map.of("user_id", user, "coupons", codes, "order_amount", amount);
    }
  }

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

    /** Reserves the coupons until the payment, all or none, so that nobody can use them meanwhile. */
    @PostMapping("/orders/{order}/check-out")
    Map<String, ?> checkOut(@PathVariable String order, @RequestBody CheckOut wanted) {
      Map<String, Object> hold = new HashMap<>(wanted.asSent());
      hold.put("seconds", 900);
      long discount = ((Number) call("/v1/orders/{order}/hold", hold, order).get("discount")).longValue();
      orders.put(order, wanted);
      return Map.of("discount", discount, "to_pay", wanted.amount - discount);
    }

    /** Redeems when the payment has succeeded. The same order may call it again: each coupon has one redemption. */
    @PostMapping("/orders/{order}/pay")
    Map<String, ?> pay(@PathVariable String order) {
      Map<?, ?> redeemed = call("/v1/orders/{order}/redeem", orderOf(order).asSent(), order);
      return Map.of("discount", redeemed.get("discount"), "coupons", redeemed.get("coupons"));
    }

    /** The customer went away: the coupons are free at once, and not only when the holds end. */
    @PostMapping("/orders/{order}/give-up")
    Map<String, ?> giveUp(@PathVariable String order) {
      for (String code : orderOf(order).codes) {
        call("/v1/coupons/{code}/release", Map.of("order_ref", order), code);
      }
      orders.remove(order);
      return Map.of();
    }

    /** The customer gets the coupons back. A new purchase with them needs another order. */
    @PostMapping("/orders/{order}/refund")
    Map<String, ?> refund(@PathVariable String order) {
      Map<?, ?> cancelled = call("/v1/orders/{order}/cancel", Map.of("reason", "refund"), order);
      List<?> coupons = (List<?>) cancelled.get("coupons");
      return Map.of("states", coupons.stream().map(it -> ((Map<?, ?>) it).get("state")).toList());
    }

    /** What a customer has, and what it is worth in their language. */
    @GetMapping("/wallet/{user}")
    List<?> wallet(@PathVariable String user) {
      String lang = languageOfBuyer().startsWith("ko") ? "ko" : "en";
      String path = "/v1/coupons?user_id={user}&state=issued&expired=false&order=soonest&expand=campaign";
      List<?> coupons = (List<?>) couponry.get().uri(path, user).retrieve().body(Map.class).get("data");
      return coupons.stream().map(it -> (Map<?, ?>) it).map(it -> inWallet(it, lang)).toList();
    }

    private static Map<?, ?> inWallet(Map<?, ?> coupon, String lang) {
      Map<?, ?> worth = (Map<?, ?>) ((Map<?, ?>) coupon.get("campaign")).get("worth");
      return Map.of("code", coupon.get("code"), "worth", worth.get(lang), "until", coupon.get("expires_on"));
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
      if (problem.get("coupons") instanceof List<?> coupons) {
        // In an order, each coupon that does not work has a reason of its own.
        Map<?, ?> why = (Map<?, ?>) coupons.get(0);
        return ResponseEntity.status(status)
            .body(new Refused(String.valueOf(why.get("problem")), String.valueOf(why.get("title"))));
      }
      return ResponseEntity.status(status)
          .body(new Refused(String.valueOf(problem.get("code")), String.valueOf(problem.get("title"))));
    }
  }
}
