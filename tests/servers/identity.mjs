// An identity provider on a free port of 127.0.0.1, for identity.py. It is oidc-provider, whose
// directory is the argument.
// The first line of its output is the port. It ends with its standard input.

import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const SCOPE = "openid offline_access mail";
const { Provider } = await import(pathToFileURL(`${process.argv[2]}/lib/index.js`));

// What it holds. Nothing is ever forgotten, so that a token that was used long ago is known again.
const stored = new Map();

class Store {
  constructor(model) {
    this.model = model;
  }

  all() {
    if (!stored.has(this.model)) stored.set(this.model, new Map());
    return stored.get(this.model);
  }

  by(field, value) {
    return [...this.all().values()].find((entry) => entry[field] === value);
  }

  async upsert(id, payload) {
    this.all().set(id, payload);
  }

  async find(id) {
    return this.all().get(id);
  }

  async findByUid(uid) {
    return this.by("uid", uid);
  }

  async findByUserCode(userCode) {
    return this.by("userCode", userCode);
  }

  async consume(id) {
    this.all().get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.all().delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const [id, entry] of this.all()) if (entry.grantId === grantId) this.all().delete(id);
  }
}

const seen = { grants: [], refused: [], revoked: 0, held: 0, ways: [] };
let hold = "";
let lifetime = 3600;
const waiting = new Set();

function client(id, method, secret) {
  return {
    client_id: id,
    application_type: "native", // any port of 127.0.0.1 (RFC 8252, section 7.3)
    redirect_uris: ["http://127.0.0.1/"],
    response_types: ["code"],
    grant_types: ["authorization_code", "refresh_token", DEVICE],
    token_endpoint_auth_method: method,
    ...(secret && { client_secret: secret }),
  };
}

function configuration() {
  return {
    adapter: Store,
    clients: [
      client("public", "none"),
      client("basic", "client_secret_basic", "canary-secret:+%/"),
      client("post", "client_secret_post", "canary-secret:+%/"),
      {
        ...client("dovecot", "client_secret_basic", "introspection"),
        redirect_uris: [], response_types: [], grant_types: [],
      },
    ],
    clientBasedCORS: () => false,
    cookies: { keys: ["of a test"] },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    rotateRefreshToken: () => true,
    scopes: SCOPE.split(" "),
    ttl: {
      AccessToken: () => lifetime, AuthorizationCode: 60, DeviceCode: 60, Grant: 86400,
      Interaction: 600, RefreshToken: 86400, Session: 86400, IdToken: 600,
    },
  };
}

async function textOf(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}

// The page where a person logs in and consents: `user`, and `consent=yes` or `no`.
async function interact(provider, request, response) {
  if (request.method !== "POST") {
    response.end("<form method=post><input name=user><input name=consent></form>");
    return;
  }
  const said = new URLSearchParams(await textOf(request));
  const { params } = await provider.interactionDetails(request, response);
  if (said.get("consent") !== "yes") {
    const no = { error: "access_denied", error_description: "The owner of the mailbox said no" };
    await provider.interactionFinished(request, response, no);
    return;
  }
  const accountId = said.get("user");
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(SCOPE);
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result);
}

// Requests for tokens wait while `hold` says so: "request" before the provider sees them, "answer"
// after that. A request is forgotten when its client goes away in the meantime.
function held(request) {
  seen.held += 1;
  return new Promise((resolve) => {
    const done = (open) => {
      if (waiting.delete(done)) {
        seen.held -= 1;
        resolve(open);
      }
    };
    waiting.add(done);
    request.socket.on("close", () => done(false));
  });
}

async function token(provider, request, response) {
  seen.ways.push(request.headers.authorization ? "basic" : "form");
  if (hold === "request" && !(await held(request))) return;
  if (hold === "answer") {
    const { end } = response;
    response.end = (...all) => {
      held(request).then((open) => open && end.apply(response, all));
      return response;
    };
  }
  await provider.callback()(request, response);
}

// What a test wants to know, and to have otherwise.
async function control(request, response) {
  if (request.method === "POST") {
    const wanted = JSON.parse(await textOf(request));
    lifetime = wanted.lifetime ?? lifetime;
    if (wanted.hold !== undefined) {
      hold = wanted.hold;
      for (const done of [...waiting]) done(true);
    }
  }
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(seen));
}

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, configuration());
  provider.on("grant.success", (ctx) => seen.grants.push(ctx.oidc.params.grant_type));
  provider.on("grant.error", (_, error) => {
    seen.refused.push(`${error.error}: ${error.error_detail ?? ""}`);
  });
  provider.on("grant.revoked", () => { seen.revoked += 1; });
  server.on("request", (request, response) => {
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    const answered = pathname === "/control" ? control(request, response)
      : pathname.startsWith("/interaction/") ? interact(provider, request, response)
        : pathname === "/token" ? token(provider, request, response)
          : provider.callback()(request, response);
    Promise.resolve(answered).catch((error) => {
      console.error(error);
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  console.log(port);
});
process.stdin.resume().on("end", () => process.exit());
