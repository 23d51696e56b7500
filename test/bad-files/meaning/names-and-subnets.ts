/**
 * Names, interface names, subnets, gateways and ranges.
 */
import type { BadFile } from './bad-file.ts';

export const namesAndSubnets: readonly BadFile[] = [
  {
    name: 'two names that differ in case only',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests:
  web: internal
  Web: internal
`,
    builds: false,
    says: [
      '4:3 error duplicate-name: the guest `Web` has the name of the guest `web`; hosts, networks, guests and groups share one name space, without regard to case: rename one of them. (3:3 the guest `web` is here)',
    ],
  },
  {
    name: 'one name for a network and a guest',
    file: `
networks: { web: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: web }
`,
    builds: false,
    says: [
      '2:11 error duplicate-name: the guest `web` has the name of the network `web`; hosts, networks, guests and groups share one name space, without regard to case: rename one of them. (1:13 the network `web` is here)',
    ],
  },
  {
    name: 'a group with the name of a host',
    file: `
hosts: { vps: {} }
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal }
groups: { vps: [web] }
`,
    builds: false,
    says: [
      '4:11 error duplicate-name: the group `vps` has the name of the host `vps`; hosts, networks, guests and groups share one name space, without regard to case: rename one of them. (1:10 the host `vps` is here)',
    ],
  },
  {
    name: 'a reserved word as a name',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { internet: internal }
`,
    builds: false,
    says: ['2:11 error reserved-name: `internet` means all outer addresses in flows; give the guest another name.'],
  },
  {
    name: 'a host called `host` among several',
    file: `
hosts: { host: {}, home: {} }
networks: { internal: { kind: nat, host: home, subnet: 10.0.0.0/24 } }
`,
    builds: false,
    says: [
      '1:10 error reserved-name: `host` means the host that the other side lives on in flows; give the host another name.',
      '1:1 warning not-supported-yet: the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.',
    ],
  },
  {
    name: 'keywords of nft and ip',
    file: `
networks: { limit: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { tcp: limit, dev: limit, tcp-guest: limit }
`,
    builds: false,
    says: [
      '1:13 error interface-name-keyword: `limit` is a keyword of `nft`; call the network `limit-net` instead.',
      '2:11 error interface-name-keyword: `tcp` is a keyword of `nft`; call the guest `tcp-guest2` instead.',
      '2:23 error interface-name-keyword: `dev` is a keyword of `ip`; call the guest `dev-guest` instead.',
    ],
  },
  {
    name: 'bridges alike after the cut',
    file: `
networks:
  development-one: { kind: nat, subnet: 10.0.1.0/24 }
  development-two: { kind: nat, subnet: 10.0.2.0/24 }
`,
    builds: false,
    says: [
      '3:3 error interface-name-collision: the networks `development-one` and `development-two` would both get the bridge `br-development-`, because only the first 12 characters fit into its name; rename one so that they differ there. (2:3 `development-one` is here)',
    ],
  },
  {
    name: 'ports alike after the cut, the second NIC too',
    file: `
networks:
  a: { kind: nat, subnet: 10.0.1.0/24 }
  b: { kind: nat, subnet: 10.0.2.0/24 }
guests:
  production-web1: a
  production-web2: a
  registry-abc: { nics: [{ network: a }, { network: b }] }
  registry-abd: { nics: [{ network: a }, { network: b }] }
`,
    builds: false,
    says: [
      '6:3 error interface-name-collision: the guests `production-web1` and `production-web2` would both get the port `w-production-we`, because only the first 13 characters fit into its name; rename one so that they differ there. (5:3 `production-web1` is here)',
      '8:3 error interface-name-collision: the guests `registry-abc` and `registry-abd` would both get the port `w-registry-ab_1`, because only the first 11 characters fit into its name; rename one so that they differ there. (7:3 `registry-abc` is here)',
    ],
  },
  {
    name: 'subnets that overlap',
    file: `
networks:
  small: { kind: nat, subnet: 10.0.105.128/25 }
  wide: { kind: isolated, subnet: 10.0.0.0/16 }
`,
    builds: false,
    says: [
      '3:35 error subnet-overlap: the subnet 10.0.0.0/16 of the network `wide` overlaps 10.0.105.128/25 of the network `small`; choose one that shares no address with it. (2:31 the network `small` is here)',
    ],
  },
  {
    name: 'IPv6 subnets that overlap',
    file: `
networks:
  a: { kind: nat, subnet: [10.0.1.0/24, "fd00:1::/64"] }
  b: { kind: nat, subnet: [10.0.2.0/24, "fd00:1::8000:0/112"] }
`,
    builds: false,
    says: [
      '3:41 error subnet-overlap: the subnet fd00:1::8000:0/112 of the network `b` overlaps fd00:1::/64 of the network `a`; choose one that shares no address with it. (2:41 the network `a` is here)',
    ],
  },
  {
    name: 'a subnet that holds an address of the host',
    file: `
hosts: { vps: { address: 10.0.0.5 } }
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
`,
    builds: false,
    says: [
      "2:44 error subnet-overlap: the network `internal` takes 10.0.0.0/24, which holds 10.0.0.5, an address of the host `vps`; choose another subnet. (1:26 the host's address is here)",
    ],
  },
  {
    name: 'subnets of a wrong size',
    file: `
networks:
  point: { kind: nat, subnet: 10.0.0.0/31 }
  vast: { kind: nat, subnet: 10.0.0.0/7 }
  six: { kind: nat, subnet: fd00::/48 }
`,
    builds: false,
    says: [
      '2:31 error bad-prefix: the subnet `10.0.0.0/31` is too small; an IPv4 subnet has a length from /8 to /30.',
      '3:30 error bad-prefix: the subnet `10.0.0.0/7` is too large; an IPv4 subnet has a length from /8 to /30.',
      '4:29 error bad-prefix: the subnet `fd00::/48` is too large; an IPv6 subnet has a length from /64 to /112.',
    ],
  },
  {
    name: 'subnets where guests cannot live',
    file: `
networks:
  a: { kind: nat, subnet: 127.0.0.0/8 }
  b: { kind: nat, subnet: 169.254.0.0/24 }
  c: { kind: nat, subnet: 224.1.0.0/16 }
  d: { kind: nat, subnet: 0.0.0.0/8 }
  e: { kind: nat, subnet: "fe80::/64" }
  f: { kind: nat, subnet: "ff02::/64" }
`,
    builds: false,
    says: [
      '2:27 error bad-prefix: the subnet `127.0.0.0/8` holds loopback addresses, which guests cannot have; choose a private one such as 10.0.105.0/24.',
      '3:27 error bad-prefix: the subnet `169.254.0.0/24` holds link-local addresses, which guests cannot have; choose a private one such as 10.0.105.0/24.',
      '4:27 error bad-prefix: the subnet `224.1.0.0/16` holds multicast addresses, which guests cannot have; choose a private one such as 10.0.105.0/24.',
      '5:27 error bad-prefix: the subnet `0.0.0.0/8` holds "this host" addresses, which guests cannot have; choose a private one such as 10.0.105.0/24.',
      '6:27 error bad-prefix: the subnet `fe80::/64` holds link-local addresses, which guests cannot have; choose a private one such as fd00:105::/64.',
      '7:27 error bad-prefix: the subnet `ff02::/64` holds multicast addresses, which guests cannot have; choose a private one such as fd00:105::/64.',
    ],
  },
  {
    name: 'a gateway outside, at the edge, and of a family without a subnet',
    file: `
networks:
  a: { kind: nat, subnet: 10.0.1.0/24, gateway: 10.0.2.1 }
  b: { kind: nat, subnet: 10.0.2.0/24, gateway: 10.0.2.255 }
  c: { kind: nat, subnet: 10.0.3.0/24, gateway: 10.0.3.0 }
  d: { kind: nat, subnet: 10.0.4.0/24, gateway: "fd00::1" }
  e: { kind: nat, subnet: "fd00:5::/64", gateway: "fe80::1" }
`,
    builds: false,
    says: [
      '2:49 error gateway-outside: the gateway `10.0.2.1` is outside the subnet 10.0.1.0/24; take one inside, such as 10.0.1.1.',
      '3:49 error gateway-outside: the gateway `10.0.2.255` is the broadcast address of 10.0.2.0/24; take another, such as 10.0.2.1.',
      '4:49 error gateway-outside: the gateway `10.0.3.0` is the network address of 10.0.3.0/24; take another, such as 10.0.3.1.',
      '5:49 error gateway-outside: the gateway `fd00::1` is IPv6, but the network `d` has no IPv6 subnet; add one, or leave the gateway out.',
      '6:51 error gateway-outside: guests reach the gateway at fe80::1 in any case; `gateway` is its address inside fd00:5::/64, such as fd00:5::1, and may be left out.',
    ],
  },
  {
    name: 'a range outside the subnet',
    file: `
networks: { a: { kind: nat, subnet: 10.0.1.0/24, range: 10.0.1.10-10.0.2.20 } }
`,
    builds: false,
    says: [
      '1:57 error range-outside: the range 10.0.1.10-10.0.2.20 is not inside the subnet 10.0.1.0/24; it has to lie between 10.0.1.1 and 10.0.1.254.',
    ],
  },
  {
    name: 'a range that holds only the gateway',
    file: `
networks: { a: { kind: nat, subnet: 10.0.1.0/24, gateway: 10.0.1.9, range: 10.0.1.9-10.0.1.9 } }
`,
    builds: false,
    says: [
      '1:76 error range-exhausted: the range 10.0.1.9-10.0.1.9 of the network `a` holds no address a guest could have: network, broadcast and gateway address are taken; widen it.',
    ],
  },
  {
    name: 'a range without an IPv4 subnet',
    file: `
networks: { a: { kind: nat, subnet: "fd00:1::/64", range: 10.0.1.10-10.0.1.20 } }
`,
    builds: false,
    says: ['1:59 error range-outside: the network `a` has a range but no IPv4 subnet; give it one, or leave `range` out.'],
  },
];
