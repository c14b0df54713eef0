// A receiver that verifies each POST with the official library for JavaScript; see verify.py.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  try {
    const secret = readFileSync(process.argv[2], "utf8").trim();
    const event = new Webhook(secret).verify(Buffer.concat(pieces).toString(), request.headers);
    console.log(event.type, event.data.coupon?.order_ref ?? null);
    response.statusCode = 204;
  } catch (why) {
    console.log("wrong:", why.message, JSON.stringify(request.headers));
    response.statusCode = 401;
  }
  response.end();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
