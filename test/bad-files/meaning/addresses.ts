/**
 * Addresses and MACs: declared, locked and exhausted ones.
 */
import type { BadFile } from './bad-file.ts';

export const addresses: readonly BadFile[] = [
  {
    name: 'an exhausted range, said once',
    file: `
networks:
  a: { kind: nat, subnet: 10.0.1.0/24, range: 10.0.1.10-10.0.1.12 }
  b: { kind: nat, subnet: 10.0.2.0/30 }
guests:
  fixed: { network: a, address: 10.0.1.11 }
  one: a
  two: a
  three: a
  four: b
  five: b
`,
    builds: false,
    says: [
      '2:47 error range-exhausted: the network `a` needs 3 more IPv4 addresses, and 10.0.1.10-10.0.1.12 has only 2 left; widen the range, or move guests to another network.',
      '3:27 error range-exhausted: the network `b` needs 2 more IPv4 addresses, and 10.0.2.2-10.0.2.2 has only 1 left; widen the subnet, or move guests to another network.',
    ],
  },
  {
    name: 'an address outside its subnet, and of a family the network has not',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests:
  web: { network: internal, address: 10.0.1.5 }
  db: { network: internal, address: [10.0.0.5, "fd00::5"] }
`,
    builds: false,
    says: [
      '3:38 error address-outside: the address 10.0.1.5 is outside the subnet 10.0.0.0/24 of the network `internal`; take one inside, or leave it out to get one.',
      '4:48 error address-outside: the address fd00::5 is IPv6, but the network `internal` has no IPv6 subnet; add one there, or leave the address out.',
    ],
  },
  {
    name: 'an address twice',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests:
  web: { network: internal, address: 10.0.0.5 }
  db: { network: internal, address: 10.0.0.5 }
`,
    builds: false,
    says: [
      '4:37 error address-taken: the address 10.0.0.5 belongs to the guest `web` already; take another one, or leave it out to get a free one. (3:38 `web` has it here)',
    ],
  },
  {
    name: "the gateway's, the network's and the broadcast address",
    file: `
networks: { internal: { kind: nat, subnet: [10.0.0.0/24, "fd00:1::/64"] } }
guests:
  a: { network: internal, address: 10.0.0.1 }
  b: { network: internal, address: 10.0.0.0 }
  c: { network: internal, address: 10.0.0.255 }
  d: { network: internal, address: "fd00:1::1" }
`,
    builds: false,
    says: [
      '3:36 error address-reserved: 10.0.0.1 is the gateway address of the network `internal`; take another one, or leave it out to get a free one.',
      '4:36 error address-reserved: 10.0.0.0 is the network address of the network `internal`; take another one, or leave it out to get a free one.',
      '5:36 error address-reserved: 10.0.0.255 is the broadcast address of the network `internal`; take another one, or leave it out to get a free one.',
      '6:36 error address-reserved: fd00:1::1 is the gateway address of the network `internal`; take another one, or leave it out to get a free one.',
    ],
  },
  {
    name: 'an address that the lock keeps for another',
    lock: { version: 1, guests: { web: { nics: [{ network: 'internal', mac: '02:00:00:00:00:01', v4: '10.0.0.5' }] } } },
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests:
  web: internal
  db: { network: internal, address: 10.0.0.5 }
`,
    builds: false,
    says: [
      '4:37 error lock-conflict: the guest `db` declares 10.0.0.5, which weft.lock keeps for `web`; take another one, or give `web` an `address` of its own. (3:8 `web` is here)',
    ],
  },
  {
    name: 'a locked address outside the changed subnet',
    lock: { version: 1, guests: { web: { nics: [{ network: 'internal', mac: '02:00:00:00:00:01', v4: '10.0.9.5' }] } } },
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal }
`,
    builds: true,
    says: [
      '2:16 warning lock-reallocated: weft.lock keeps 10.0.9.5 for the guest `web`, but the subnet of `internal` is now 10.0.0.0/24; it gets another address.',
    ],
  },
  {
    name: "a locked address that is the gateway's now",
    lock: { version: 1, guests: { web: { nics: [{ network: 'internal', mac: '02:00:00:00:00:01', v4: '10.0.0.254' }] } } },
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24, gateway: 10.0.0.254 } }
guests: { web: internal }
`,
    builds: true,
    says: [
      '2:16 warning lock-reallocated: weft.lock keeps 10.0.0.254 for the guest `web`, but that is now the gateway address of the network `internal`; it gets another address.',
    ],
  },
  {
    name: 'a MAC that the lock keeps for another',
    lock: { version: 1, guests: { web: { nics: [{ network: 'internal', mac: '02:00:00:00:00:01' }] } } },
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests:
  web: internal
  db: { network: internal, mac: "02:00:00:00:00:01" }
`,
    builds: false,
    says: [
      '4:33 error lock-conflict: the guest `db` declares the MAC 02:00:00:00:00:01, which weft.lock keeps for `web`; take another one, or give `web` a `mac` too. (3:8 `web` is here)',
    ],
  },
  {
    name: 'a MAC twice, a multicast one and none at all',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests:
  a: { network: internal, mac: "52:54:00:00:00:01" }
  b: { network: internal, mac: "52:54:00:00:00:01" }
  c: { network: internal, mac: "01:00:5e:00:00:01" }
  d: { network: internal, mac: "00:00:00:00:00:00" }
`,
    builds: false,
    says: [
      '4:32 error mac-taken: the MAC 52:54:00:00:00:01 belongs to the guest `a` already; leave `mac` out to get one of its own. (3:32 `a` has it here)',
      '5:32 error mac-multicast: 01:00:5e:00:00:01 is a multicast address, which no NIC can have; its first octet has to be even, such as 00:00:5e:00:00:01.',
      '6:32 error bad-mac: 00:00:00:00:00:00 means "no address"; leave `mac` out to get one.',
    ],
  },
];
