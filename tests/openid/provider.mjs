// A real OpenID provider for the tests of the sign-in. It accepts every password.
//
//     node provider.mjs SETTINGS
//
// SETTINGS is a JSON file: issuer, port, client (in the words of OpenID client registration), jwks, and
// accounts by name, with their claims. The accounts are read again at each sign-in. An account that is
// `disabled` cannot sign in.
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const read = () => JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { issuer, port, client, jwks } = read();

const provider = new Provider(issuer, {
  clients: [client],
  jwks,
  cookies: { keys: ['a key for tests'] },
  // Like most providers, put the claims of a scope into the ID token.
  conformIdTokenClaims: false,
  claims: {
    openid: ['sub'],
    profile: ['name', 'given_name', 'family_name', 'preferred_username', 'email', 'groups'],
  },
  features: { rpInitiatedLogout: { enabled: true } },
  async findAccount(_context, name) {
    const account = read().accounts[name];
    if (!account || account.disabled) return undefined;
    return { accountId: name, claims: async () => ({ sub: name, ...account.claims }) };
  },
  // Ask for no consent: the client belongs to the same company.
  async loadExistingGrant(context) {
    const { client: { clientId }, session: { accountId } } = context.oidc;
    const grant = new context.oidc.provider.Grant({ clientId, accountId });
    grant.addOIDCScope('openid profile');
    await grant.save();
    return grant;
  },
});
provider.proxy = true; // the tests stand between the browser and the provider
provider.listen(port, '127.0.0.1');
