// What the scripts that fill a store ask of its API. COUPONRY is the address, TOKEN an admin's token.

const { COUPONRY: base, TOKEN: token } = process.env;

export const call = async (method, path, body, type = "application/json") => {
  const answer = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": type },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  return answer.json();
};

/** The date in so many days. */
export const day = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
