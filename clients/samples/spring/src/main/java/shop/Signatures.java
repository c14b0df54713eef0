package shop;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** The signatures of webhooks (Standard Webhooks 1.0, HMAC-SHA256). */
final class Signatures {
  /** Whoever has recorded a post cannot send it again later. */
  private static final long AGE_MAX_SECONDS = 300;

  private final byte[] key;

  private Signatures(byte[] key) {
    this.key = key;
  }

  /** Those of a secret such as {@code whsec_...}; without one none is right. */
  static Signatures of(String secret) {
    return new Signatures(secret == null ? new byte[0] : Base64.getDecoder().decode(secret.replace("whsec_", "")));
  }

  boolean areRight(String id, String at, String signatures, byte[] body) {
    try {
      if (key.length == 0 || Math.abs(Instant.now().getEpochSecond() - Long.parseLong(at)) > AGE_MAX_SECONDS) {
        return false;
      }
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      mac.update((id + "." + at + ".").getBytes(StandardCharsets.UTF_8));
      String want = "v1," + Base64.getEncoder().encodeToString(mac.doFinal(body));
      boolean isRight = false;
      // While a secret is replaced there are two.
      for (String one : signatures.split(" ")) {
        isRight |= MessageDigest.isEqual(one.getBytes(StandardCharsets.UTF_8), want.getBytes(StandardCharsets.UTF_8));
      }
      return isRight;
    } catch (NumberFormatException notANumber) {
      return false;
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException(error);
    }
  }
}
