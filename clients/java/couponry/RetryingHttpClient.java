package couponry;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.Authenticator;
import java.net.CookieHandler;
import java.net.ProxySelector;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.BodySubscribers;
import java.net.http.HttpResponse.PushPromiseHandler;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

/**
 * What a client of couponry should do when an answer is a problem, or does not come. It is a {@link HttpClient}, so it works
 * below any client that takes one: RestClient of Spring by {@code JdkClientHttpRequestFactory}, and what openapi-generator
 * makes with the library {@code native}.
 *
 * <p>The problem document of couponry says in {@code retry} what to do (docs/problems):
 *
 * <ul>
 *   <li>{@code never}: the answer is returned as it is.
 *   <li>{@code later}: nothing was changed. The same request is sent again after {@code Retry-After}.
 *   <li>{@code same}, or no answer: the write may have happened. Exactly the same request is sent again, and its answer says
 *       what happened. So a request is repeated only if a repeat is harmless: see {@link #isRepeatable}.
 * </ul>
 *
 * <p>All tries of a request together take at most {@code giveUpAfter}. Then the last answer is returned, or the last error is
 * thrown: with {@code same} or an error nobody knows what happened, so send the same request, with the same names, again later.
 *
 * <p>Needs Java 17 and jackson-databind 2.
 */
public final class RetryingHttpClient extends HttpClient {
  /** For all tries of one request: a person waits that long for a payment. */
  public static final Duration GIVE_UP_AFTER = Duration.ofSeconds(30);

  /** For one try: couponry gives up a write after ten seconds, and then says so. */
  private static final Duration TRY_TIMEOUT = Duration.ofSeconds(12);

  private static final long PAUSE_FIRST_MS = 200;
  private static final long PAUSE_MAX_MS = 5_000;
  private static final Set<String> SAFE = Set.of("GET", "HEAD", "PUT", "DELETE", "OPTIONS");
  private static final Set<Integer> BUSY = Set.of(408, 429, 500, 502, 503, 504);
  private static final ObjectMapper JSON = new ObjectMapper();

  private final HttpClient inner;
  private final Duration giveUpAfter;

  public RetryingHttpClient(HttpClient inner, Duration giveUpAfter) {
    this.inner = inner;
    this.giveUpAfter = giveUpAfter;
  }

  /** Builds one, for code that wants to build its own, such as the ApiClient of openapi-generator. */
  public static HttpClient.Builder builder() {
    return new Retrying();
  }

  /** Whether a request that may have been done already can be sent again. */
  static boolean isRepeatable(HttpRequest request, byte[] body) {
    if (SAFE.contains(request.method())) {
      return true;
    }
    JsonNode fields;
    try {
      fields = JSON.readTree(body.length == 0 ? "{}".getBytes() : body);
    } catch (IOException notJson) {
      return false;
    }
    String path = request.uri().getPath();
    HttpHeaders headers = request.headers();
    // Without a name its repeat could revoke the coupon from somebody who got it in between.
    if (path.endsWith("/revoke")) {
      return fields.hasNonNull("revoke_ref")
          || fields.hasNonNull("version")
          || headers.firstValue("idempotency-key").isPresent();
    }
    if (path.endsWith("/batches")) {
      return fields.hasNonNull("batch_id");
    }
    if (path.endsWith("/campaigns")) {
      return fields.hasNonNull("campaign_id");
    }
    // A change with If-Match that was made has another tag, so its repeat would say that somebody else was faster.
    return headers.firstValue("if-match").isEmpty();
  }

  @Override
  public <T> HttpResponse<T> send(HttpRequest request, BodyHandler<T> handler)
      throws IOException, InterruptedException {
    boolean hasBody = request.bodyPublisher().isPresent();
    String kind = request.headers().firstValue("content-type").orElse("");
    // An import: send the same file again yourself, it goes on where it stopped.
    if (hasBody && !kind.isEmpty() && !kind.startsWith("application/json")) {
      return inner.send(request, handler);
    }
    byte[] body = hasBody ? read(request.bodyPublisher().get()) : new byte[0];
    boolean repeatable = isRepeatable(request, body);
    HttpRequest again = rebuilt(request, hasBody, body);
    long ends = System.nanoTime() + giveUpAfter.toNanos();
    long pause = PAUSE_FIRST_MS;
    while (true) {
      HttpResponse<Either<T>> answer = null;
      IOException lost = null;
      long wait = 0;
      try {
        answer = inner.send(again, info -> either(info, handler));
        if (answer.statusCode() < 400) {
          return new Answer<>(answer, answer.body().wanted());
        }
        String retry = retryOf(answer);
        // HELD or PAUSED would be over too late for a person who waits.
        boolean isBusy = answer.statusCode() == 429 || answer.statusCode() == 503;
        if (!(retry.equals("later") ? isBusy : retry.equals("same") && repeatable)) {
          return asAsked(answer, handler);
        }
        wait = answer.headers().firstValue("retry-after").map(RetryingHttpClient::milliseconds).orElse(0L);
      } catch (IOException error) {
        if (!repeatable) {
          throw error;
        }
        lost = error;
      }
      // Not all clients come back at once.
      wait = Math.max(wait, (long) (pause * ThreadLocalRandom.current().nextDouble(0.5, 1.5)));
      pause = Math.min(pause * 2, PAUSE_MAX_MS);
      if (System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(wait) >= ends) {
        if (lost != null) {
          throw lost;
        }
        return asAsked(answer, handler);
      }
      Thread.sleep(wait);
    }
  }

  @Override
  public <T> CompletableFuture<HttpResponse<T>> sendAsync(HttpRequest request, BodyHandler<T> handler) {
    CompletableFuture<HttpResponse<T>> sent = new CompletableFuture<>();
    Runnable work =
        () -> {
          try {
            sent.complete(send(request, handler));
          } catch (Throwable error) {
            sent.completeExceptionally(error);
          }
        };
    inner.executor().ifPresentOrElse(it -> it.execute(work), () -> CompletableFuture.runAsync(work));
    return sent;
  }

  @Override
  public <T> CompletableFuture<HttpResponse<T>> sendAsync(
      HttpRequest request, BodyHandler<T> handler, PushPromiseHandler<T> pushed) {
    return sendAsync(request, handler);
  }

  /** What the answer says about a repeat. */
  private static <T> String retryOf(HttpResponse<Either<T>> answer) {
    try {
      JsonNode said = JSON.readTree(answer.body().problem()).path("retry");
      if (said.isTextual()) {
        return said.asText();
      }
    } catch (IOException ofAProxy) {
      // It does not say whether couponry got it.
    }
    return BUSY.contains(answer.statusCode()) ? "same" : "never";
  }

  private static long milliseconds(String seconds) {
    try {
      return TimeUnit.SECONDS.toMillis(Long.parseLong(seconds));
    } catch (NumberFormatException aDate) {
      return 0;
    }
  }

  /** The body of an answer: what the caller wants of a good one, the bytes of a problem. */
  private record Either<T>(T wanted, byte[] problem) {}

  private static <T> BodySubscriber<Either<T>> either(HttpResponse.ResponseInfo info, BodyHandler<T> handler) {
    return info.statusCode() < 400
        ? BodySubscribers.mapping(handler.apply(info), body -> new Either<>(body, null))
        : BodySubscribers.mapping(BodySubscribers.ofByteArray(), bytes -> new Either<>(null, bytes));
  }

  /** The answer with the body of its problem as the caller wants it. */
  private static <T> HttpResponse<T> asAsked(HttpResponse<Either<T>> answer, BodyHandler<T> handler) {
    BodySubscriber<T> subscriber =
        handler.apply(
            new HttpResponse.ResponseInfo() {
              @Override
              public int statusCode() {
                return answer.statusCode();
              }

              @Override
              public HttpHeaders headers() {
                return answer.headers();
              }

              @Override
              public HttpClient.Version version() {
                return answer.version();
              }
            });
    byte[] bytes = answer.body().problem();
    subscriber.onSubscribe(
        new Flow.Subscription() {
          private boolean isSent;

          @Override
          public void request(long count) {
            if (!isSent) {
              isSent = true;
              if (bytes.length > 0) {
                subscriber.onNext(List.of(ByteBuffer.wrap(bytes)));
              }
              subscriber.onComplete();
            }
          }

          @Override
          public void cancel() {
            isSent = true;
          }
        });
    return new Answer<>(answer, subscriber.getBody().toCompletableFuture().join());
  }

  /** All bytes of a body, which can be sent several times then. */
  private static byte[] read(HttpRequest.BodyPublisher publisher) {
    BodySubscriber<byte[]> bytes = BodySubscribers.ofByteArray();
    publisher.subscribe(
        new Flow.Subscriber<>() {
          @Override
          public void onSubscribe(Flow.Subscription subscription) {
            bytes.onSubscribe(subscription);
          }

          @Override
          public void onNext(ByteBuffer piece) {
            bytes.onNext(List.of(piece));
          }

          @Override
          public void onError(Throwable error) {
            bytes.onError(error);
          }

          @Override
          public void onComplete() {
            bytes.onComplete();
          }
        });
    return bytes.getBody().toCompletableFuture().join();
  }

  private static HttpRequest rebuilt(HttpRequest request, boolean hasBody, byte[] body) {
    HttpRequest.BodyPublisher publisher = hasBody ? BodyPublishers.ofByteArray(body) : BodyPublishers.noBody();
    HttpRequest.Builder builder = HttpRequest.newBuilder(request.uri()).method(request.method(), publisher);
    request.headers().map().forEach((name, values) -> values.forEach(value -> builder.header(name, value)));
    Duration longest = request.timeout().filter(it -> it.compareTo(TRY_TIMEOUT) < 0).orElse(TRY_TIMEOUT);
    return builder.timeout(longest).expectContinue(request.expectContinue()).build();
  }

  /** An answer with another body. */
  private record Answer<T>(HttpResponse<?> inner, T body) implements HttpResponse<T> {
    @Override
    public int statusCode() {
      return inner.statusCode();
    }

    @Override
    public HttpRequest request() {
      return inner.request();
    }

    @Override
    public Optional<HttpResponse<T>> previousResponse() {
      return Optional.empty();
    }

    @Override
    public HttpHeaders headers() {
      return inner.headers();
    }

    @Override
    public Optional<javax.net.ssl.SSLSession> sslSession() {
      return inner.sslSession();
    }

    @Override
    public java.net.URI uri() {
      return inner.uri();
    }

    @Override
    public Version version() {
      return inner.version();
    }
  }

  @Override
  public Optional<CookieHandler> cookieHandler() {
    return inner.cookieHandler();
  }

  @Override
  public Optional<Duration> connectTimeout() {
    return inner.connectTimeout();
  }

  @Override
  public Redirect followRedirects() {
    return inner.followRedirects();
  }

  @Override
  public Optional<ProxySelector> proxy() {
    return inner.proxy();
  }

  @Override
  public SSLContext sslContext() {
    return inner.sslContext();
  }

  @Override
  public SSLParameters sslParameters() {
    return inner.sslParameters();
  }

  @Override
  public Optional<Authenticator> authenticator() {
    return inner.authenticator();
  }

  @Override
  public Version version() {
    return inner.version();
  }

  @Override
  public Optional<Executor> executor() {
    return inner.executor();
  }

  private static final class Retrying implements HttpClient.Builder {
    private final HttpClient.Builder inner = HttpClient.newBuilder();

    @Override
    public HttpClient build() {
      return new RetryingHttpClient(inner.build(), GIVE_UP_AFTER);
    }

    @Override
    public HttpClient.Builder cookieHandler(CookieHandler handler) {
      inner.cookieHandler(handler);
      return this;
    }

    @Override
    public HttpClient.Builder connectTimeout(Duration longest) {
      inner.connectTimeout(longest);
      return this;
    }

    @Override
    public HttpClient.Builder sslContext(SSLContext context) {
      inner.sslContext(context);
      return this;
    }

    @Override
    public HttpClient.Builder sslParameters(SSLParameters parameters) {
      inner.sslParameters(parameters);
      return this;
    }

    @Override
    public HttpClient.Builder executor(Executor executor) {
      inner.executor(executor);
      return this;
    }

    @Override
    public HttpClient.Builder followRedirects(HttpClient.Redirect policy) {
      inner.followRedirects(policy);
      return this;
    }

    @Override
    public HttpClient.Builder version(HttpClient.Version version) {
      inner.version(version);
      return this;
    }

    @Override
    public HttpClient.Builder priority(int priority) {
      inner.priority(priority);
      return this;
    }

    @Override
    public HttpClient.Builder proxy(ProxySelector selector) {
      inner.proxy(selector);
      return this;
    }

    @Override
    public HttpClient.Builder authenticator(Authenticator authenticator) {
      inner.authenticator(authenticator);
      return this;
    }
  }
}
