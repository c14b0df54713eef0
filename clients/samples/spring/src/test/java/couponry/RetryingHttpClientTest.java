package couponry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Which answers are a reason to send a request again, with answers that are made up. */
class RetryingHttpClientTest {
  /** One answer: a status, what it says of a repeat, after how many seconds; or none at all. */
  private record Said(int status, String retry, String after) {}

  private record Case(String name, String path, String body, List<Said> answers, int sent, int end) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static final Said GOOD = new Said(201, null, null);
  private static final Said LOST = new Said(0, null, null);
  private static final String REDEEM = "/v1/coupons/A/redeem";
  private static final String REVOKE = "/v1/coupons/A/revoke";
  private static final String ORDER = "{\"order_ref\": \"1\"}";
  private static final String NO_NAME = "{\"user_id\": \"ann\", \"reason\": \"\\\"revoke_ref\\\": 1\"}";
  private static final String NAMED = "{\"user_id\": \"ann\", \"revoke_ref\": \"r\"}";

  private static Said said(int status, String retry) {
    return new Said(status, retry, null);
  }

  /** An end of 0 is an error. */
  static final List<Case> CASES =
      List.of(
          new Case("good", REDEEM, ORDER, List.of(GOOD), 1, 201),
          new Case("refused", REDEEM, ORDER, List.of(said(409, "never")), 1, 409),
          new Case("held for another order", REDEEM, ORDER, List.of(said(409, "later")), 1, 409),
          new Case("overloaded", REDEEM, ORDER, List.of(said(503, "later"), GOOD), 2, 201),
          new Case("unknown", REDEEM, ORDER, List.of(said(503, "same"), GOOD), 2, 201),
          new Case("lost", REDEEM, ORDER, List.of(LOST, LOST, GOOD), 3, 201),
          new Case("of a proxy", REDEEM, ORDER, List.of(said(502, null), GOOD), 2, 201),
          new Case("lost, and no name", REVOKE, NO_NAME, List.of(LOST, GOOD), 1, 0),
          new Case("unknown, and no name", REVOKE, NO_NAME, List.of(said(503, "same"), GOOD), 1, 503),
          new Case("lost, with a name", REVOKE, NAMED, List.of(LOST, GOOD), 2, 201),
          new Case("a wait that is too long", REDEEM, ORDER, List.of(new Said(429, "later", "600"), GOOD), 1, 429));

  @ParameterizedTest
  @FieldSource("CASES")
  void answers(Case it) throws Exception {
    List<String> bodies = Collections.synchronizedList(new ArrayList<>());
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", exchange -> answer(exchange, it.answers, bodies));
    server.start();
    try {
      HttpClient client = new RetryingHttpClient(HttpClient.newHttpClient(), Duration.ofSeconds(10));
      URI uri = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + it.path);
      HttpRequest request =
          HttpRequest.newBuilder(uri)
              .header("content-type", "application/json")
              .POST(BodyPublishers.ofString(it.body))
              .build();
      int end = 0;
      try {
        HttpResponse<String> answer = client.send(request, BodyHandlers.ofString());
        end = answer.statusCode();
        assertTrue(!answer.body().isEmpty(), "the body of a problem arrives too");
      } catch (IOException lost) {
        // An end of 0.
      }
      assertEquals(it.end, end);
      assertEquals(it.sent, bodies.size());
      assertEquals(Set.of(it.body), new TreeSet<>(bodies), "the same bytes");
    } finally {
      server.stop(0);
    }
  }

  private static void answer(HttpExchange exchange, List<Said> answers, List<String> bodies) throws IOException {
    String body = new String(exchange.getRequestBody().readAllBytes());
    Said said;
    synchronized (bodies) {
      said = answers.get(Math.min(bodies.size(), answers.size() - 1));
      bodies.add(body);
    }
    if (said.status == 0) {
      // Without an answer.
      throw new IOException("lost");
    }
    byte[] text = (said.retry == null ? "Bad gateway" : "{\"retry\": \"" + said.retry + "\"}").getBytes();
    if (said.after != null) {
      exchange.getResponseHeaders().add("retry-after", said.after);
    }
    exchange.sendResponseHeaders(said.status, text.length);
    exchange.getResponseBody().write(text);
    exchange.close();
  }
}
