/**
 * Guests, their networks, hosts and outer guests.
 */
import type { BadFile } from './bad-file.ts';

export const guests: readonly BadFile[] = [
  {
    name: 'an unknown network',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests:
  web: interal
  db: { network: lan }
`,
    builds: false,
    says: [
      '3:8 error unknown-network: there is no network `interal`; did you mean `internal`?',
      '4:18 error unknown-network: there is no network `lan`; there is only `internal`.',
    ],
  },
  {
    name: 'two NICs in one network',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { vm1: { nics: [{ network: internal }, { network: internal }] } }
`,
    builds: false,
    says: [
      '2:59 error bad-value: the guest `vm1` has two NICs in the network `internal`; give one of them another network, or make the second address a guest `inside` this one.',
    ],
  },
  {
    name: 'no NIC that may be the default',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { vm1: { nics: [{ network: internal, default: false }] } }
`,
    builds: false,
    says: ['2:55 error bad-value: no NIC of the guest `vm1` may carry the default route; leave `default: false` out for one of them.'],
  },
  {
    name: 'inside a guest that is not in that network',
    file: `
networks:
  a: { kind: nat, subnet: 10.0.1.0/24 }
  b: { kind: nat, subnet: 10.0.2.0/24 }
guests:
  vm1: a
  jail: { inside: vm1, network: b }
`,
    builds: false,
    says: [
      '6:33 error inside-not-in-network: the guest `vm1`, which `jail` is inside of, has no NIC in the network `b` (its networks: a); give it one, or change the network here.',
    ],
  },
  {
    name: 'inside itself, inside an inside, inside nobody',
    file: `
networks: { a: { kind: nat, subnet: 10.0.1.0/24 } }
guests:
  vm1: a
  me: { inside: me, network: a }
  jail: { inside: vm1, network: a }
  cell: { inside: jail, network: a }
  lost: { inside: vm2, network: a }
`,
    builds: false,
    says: [
      '4:17 error inside-cycle: the guest `me` cannot be inside itself; name the guest whose port it shares.',
      '6:19 error inside-cycle: the guest `jail` is itself inside `vm1`; name the guest that has the port.',
      '7:19 error unknown-guest: there is no guest `vm2` to be inside of; did you mean `vm1`?',
    ],
  },
  {
    name: 'a resolver for a guest inside another',
    file: `
networks: { a: { kind: nat, subnet: 10.0.1.0/24 } }
guests:
  vm1: a
  jail: { inside: vm1, network: a, dns: 1.1.1.1 }
`,
    builds: false,
    says: ['4:41 error bad-value: the guest `jail` is inside `vm1`, whose resolver it uses, so `dns` belongs to `vm1`; leave it out here.'],
  },
  {
    name: 'a user for a namespace',
    file: `
networks: { a: { kind: nat, subnet: 10.0.1.0/24 } }
guests: { ns: { network: a, kind: namespace, user: cloud } }
`,
    builds: false,
    says: ['2:52 error bad-value: `user` has no meaning for a guest of kind namespace, which Weft itself makes; leave it out.'],
  },
  {
    name: 'a network that does not say which host, or a wrong one',
    file: `
hosts: { vps: {}, home: {} }
networks:
  a: { kind: nat, subnet: 10.0.1.0/24 }
  b: { kind: nat, subnet: 10.0.2.0/24, host: vsp }
  c: { kind: nat, subnet: 10.0.3.0/24, host: elsewhere }
`,
    builds: false,
    says: [
      '3:3 error host-required: the network `a` does not say on which host it is; add `host:` with one of vps, home.',
      '4:46 error unknown-host: there is no host `vsp`; did you mean `vps`?',
      '5:46 error unknown-host: there is no host `elsewhere`; there are only `vps` and `home`.',
      '1:1 warning not-supported-yet: the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.',
    ],
  },
  {
    name: 'NICs on two hosts',
    file: `
hosts: { vps: {}, home: {} }
networks:
  a: { kind: nat, subnet: 10.0.1.0/24, host: vps }
  b: { kind: nat, subnet: 10.0.2.0/24, host: home }
guests: { vm1: { nics: [{ network: a }, { network: b }] } }
`,
    builds: false,
    says: [
      '5:52 error host-ambiguous: the guest `vm1` has NICs on two hosts: `a` is on `vps`, `b` on `home`; keep the networks of one host.',
      '1:1 warning not-supported-yet: the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.',
    ],
  },
  {
    name: 'one address for two hosts',
    file: `
hosts: { vps: { address: 203.0.113.1 }, home: { address: [203.0.113.1, 203.0.113.2, 203.0.113.2] } }
networks: { a: { kind: nat, subnet: 10.0.1.0/24, host: vps } }
`,
    builds: false,
    says: [
      '1:59 error address-taken: the address 203.0.113.1 belongs to the host `vps` already; leave it out here.',
      '1:85 error address-taken: the address 203.0.113.2 is listed twice for the host `home`; leave it out here.',
      '1:1 warning not-supported-yet: the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.',
    ],
  },
  {
    name: 'a flow between hosts',
    file: `
hosts: { vps: {}, home: {} }
networks:
  a: { kind: nat, subnet: 10.0.1.0/24, host: vps }
  b: { kind: nat, subnet: 10.0.2.0/24, host: home }
guests: { web: a, db: b }
allow: [web -> db tcp/5432, home -> web]
`,
    builds: false,
    says: [
      '6:16 error not-supported-yet: flows between hosts (`web` on `vps`, `db` on `home`) are not supported yet; keep to the guests of one host.',
      '6:37 error not-supported-yet: flows between hosts (`home` on `home`, `web` on `vps`) are not supported yet; keep to the guests of one host.',
      '1:1 warning not-supported-yet: the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.',
    ],
  },
];
