// A certified OpenID provider on https, told by lines of JSON on standard input what it is and how it behaves. Each line
// is answered by one line. People log in at its own pages, with any password. It ends when its input ends.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const [certificate, key] = process.argv.slice(2).map((path) => readFileSync(path));
let accounts = {};
let answer = (request, response) => response.writeHead(503).end();
const behaviour = { slow: {}, lies: {}, down: false };

console.warn = () => {};
console.info = () => {};

const server = createServer({ cert: certificate, key }, async (request, response) => {
  const path = new URL(request.url, 'https://x').pathname;
  if (behaviour.down) return request.socket.destroy();
  const wait = behaviour.slow[path];
  if (wait) await new Promise((done) => setTimeout(done, wait * 1000));
  const lie = behaviour.lies[path];
  if (lie) {
    request.resume();
    return response.writeHead(lie.status ?? 200, { 'Content-Type': 'application/json', ...lie.headers }).end(lie.body);
  }
  return answer(request, response);
});

function configure({ keys, clients }) {
  const provider = new Provider(`https://127.0.0.1:${server.address().port}`, {
    jwks: { keys },
    clients,
    cookies: { keys: ['not a secret: this is a test'] },
    claims: {
      openid: ['sub', 'hasgroups', '_claim_names'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    conformIdTokenClaims: false,
    features: {
      devInteractions: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount(context, sub) {
      if (accounts[sub] === null) return undefined;
      return { accountId: sub, claims: () => ({ sub, ...accounts[sub] }) };
    },
    ttl: { Interaction: 600, Session: 3600, Grant: 3600, AccessToken: 600, IdToken: 600, RefreshToken: 3600 },
  });
  answer = provider.callback();
}

const commands = {
  configure,
  accounts: (given) => { accounts = given; },
  behave: (given) => Object.assign(behaviour, { slow: {}, lies: {}, down: false }, given),
};

server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }));
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const [name, given] = JSON.parse(line);
    try {
      commands[name](given);
      console.log(JSON.stringify({ done: name }));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }));
    }
  });
  lines.on('close', () => process.exit(0));
});
