// A real OpenID provider for attack 8: node provider.mjs PORT SITE. Anybody may sign in under any
// name; who they are and what they may is in PEOPLE.
import Provider from "oidc-provider";

const [port, site] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

const PEOPLE = {
  clerk: { name: "王敏 数据员", preferred_username: "wang.min", groups: ["dudao-clerks"], division: "A1" },
  leader: { name: "李某 县领导", preferred_username: "li", groups: ["dudao-leaders", "others"] },
  stranger: { name: "外人", preferred_username: "wai", groups: ["others"] },
  elsewhere: { name: "别处的人", preferred_username: "bie", groups: ["dudao-clerks"], division: "ZZ" },
};
// POST /people/NAME replaces what the provider says about somebody from now on; POST /clock puts
// its clock so many seconds off.
const people = new Map(Object.entries(PEOPLE));
const now = Date.now;
let offset = 0;
Date.now = () => now() + offset * 1000;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "dudao",
      client_secret: "only-for-this-test",
      redirect_uris: [`${site}/oidc/callback`],
      post_logout_redirect_uris: [`${site}/login?out=1`],
    },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub"], profile: ["name", "preferred_username"], dudao: ["groups", "division"] },
  scopes: ["openid", "profile", "dudao"],
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, ...people.get(id) }),
  }),
  ttl: {
    IdToken: 600,
    AccessToken: 600,
    AuthorizationCode: 60,
    Interaction: 600,
    Session: 600,
    Grant: 600,
  },
  cookies: { keys: ["only for this test"] },
});

provider.use(async (ctx, next) => {
  const [, what, name] = ctx.path.split("/");
  if (ctx.method !== "POST" || !["people", "clock"].includes(what)) return next();
  const chunks = [];
  for await (const chunk of ctx.req) chunks.push(chunk);
  const said = JSON.parse(Buffer.concat(chunks).toString());
  if (what === "clock") offset = said;
  else people.set(name, said);
  ctx.body = "ok";
});

provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
