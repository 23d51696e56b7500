/** Wrong routed networks, with what is said of them. */
import type { BadFile } from './bad-file.ts';

export const routed: readonly BadFile[] = [
  {
    name: 'prefixes that no guest can live in',
    file: `
networks:
  public:
    kind: routed
    addresses: [203.0.113.8/29, 10.0.0.0/7, '2001:db8::/56', 224.0.0.5, 203.0.113.20]
    bootstrap: 172.30.0.0/31
`,
    builds: false,
    says: [
      '4:33 error bad-prefix: the prefix `10.0.0.0/7` is too large; an IPv4 prefix here has a length from /8 to /32.',
      '4:45 error bad-prefix: the prefix `2001:db8::/56` is too large; an IPv6 prefix here has a length from /64 to /128.',
      '4:62 error bad-prefix: `224.0.0.5/32` holds multicast addresses, which guests cannot have; list the addresses your provider gave you.',
      '5:16 error bad-prefix: the subnet `172.30.0.0/31` is too small; an IPv4 subnet has a length from /8 to /30.',
    ],
  },
  {
    name: 'an uplink that Weft cannot set up',
    file: `
hosts:
  bare: { manage: true }
  own: { uplink: eth0, address: [203.0.113.10, 203.0.113.11], gateway: [203.0.113.11, 'fe80::1'], manage: true }
  fine: { uplink: eth0, address: ['2001:db8::2'], gateway: 'fe80::1', manage: true }
networks:
  lan: { kind: bridged, host: own, interface: eth0, subnet: 203.0.113.0/24 }
`,
    builds: false,
    says: [
      '2:19 error missing-key: with `manage: true` the host `bare` needs `uplink:`, such as `uplink: eth0`; add it, or take `manage` out.',
      '2:19 error missing-key: with `manage: true` the host `bare` needs `address:`, such as `address: 203.0.113.10`; add it, or take `manage` out.',
      '2:19 error missing-key: with `manage: true` the host `bare` needs `gateway:`, such as `gateway: 203.0.113.1`; add it, or take `manage` out.',
      "3:73 error bad-value: the gateway 203.0.113.11 is an address of the host `own` itself; write your provider's router here.",
      '3:87 error family-mismatch: the gateway fe80::1 is IPv6, but the host `own` has no IPv6 address; add one under `address:`, or leave this gateway out.',
      "6:47 error interface-taken: eth0 is the uplink of the host `own`, which Weft sets up itself (`manage: true`), so it cannot join the bridge of the network `lan`; take `manage` out and set the uplink up with the system's own tools. (3:107 `manage` is here)",
      '1:1 warning not-supported-yet: the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.',
    ],
  },
  {
    name: "addresses that are others'",
    file: `
hosts: { vps: { address: [203.0.113.8, 203.0.113.1] } }
networks:
  public: { kind: routed, addresses: [203.0.113.8/29, 203.0.113.1, 203.0.113.10, '2001:db8::/64'] }
  inner: { kind: nat, subnet: 203.0.113.0/28 }
guests:
  a: { network: public, address: 203.0.113.8 }
  b: { network: public, address: '2001:db8::' }
`,
    builds: false,
    says: [
      '4:31 error subnet-overlap: the subnet 203.0.113.0/28 of the network `inner` overlaps 203.0.113.1/32 of the network `public`; choose one that shares no address with it. (3:55 the network `public` is here)',
      '4:31 error subnet-overlap: the subnet 203.0.113.0/28 of the network `inner` overlaps 203.0.113.8/29 of the network `public`; choose one that shares no address with it. (3:39 the network `public` is here)',
      '4:31 error subnet-overlap: the subnet 203.0.113.0/28 of the network `inner` overlaps 203.0.113.10/32 of the network `public`; choose one that shares no address with it. (3:68 the network `public` is here)',
      "4:31 error subnet-overlap: the network `inner` takes 203.0.113.0/28, which holds 203.0.113.8, an address of the host `vps`; choose another subnet. (1:27 the host's address is here)",
      "3:55 error subnet-overlap: the network `public` takes 203.0.113.1/32, which holds 203.0.113.1, an address of the host `vps`; choose another subnet. (1:40 the host's address is here)",
      '6:34 error address-reserved: 203.0.113.8 is an address of the host itself; take another one, or leave it out to get a free one.',
      "7:34 error address-reserved: 2001:db8:: is the routers' anycast address of its prefix; take another one, or leave it out to get a free one.",
    ],
  },
  {
    name: 'more guests than addresses',
    file: `
networks:
  public: { kind: routed, addresses: [203.0.113.20, 203.0.113.24/31], bootstrap: 172.30.0.0/30 }
  v6: { kind: routed, addresses: '2001:db8::7', bootstrap: 172.31.0.0/24 }
guests: { a: public, b: public, c: public, d: public, e: public, f: v6, g: v6 }
`,
    builds: false,
    says: [
      '3:60 error family-mismatch: `bootstrap` is for guests with a public IPv4 address, and the network `v6` lists none; add one to `addresses`, or leave `bootstrap` out.',
      '2:38 error range-exhausted: the network `public` needs 2 more IPv4 addresses than it lists; add to `addresses`, or move guests to another network.',
      '2:82 error range-exhausted: the network `public` has 5 guests, and `bootstrap` 172.30.0.0/30 only room for 1; widen it.',
    ],
  },
];
