/**
 * Rules, groups and expectations, and what cannot be said yet.
 */
import type { BadFile } from './bad-file.ts';

export const policy: readonly BadFile[] = [
  {
    name: 'an unknown party',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal, db: internal }
allow:
  - wbe -> db tcp/5432
  - { from: web, to: [db, mailserver] }
block:
  - web.lab -> db
  - internal.web -> db
`,
    builds: false,
    says: [
      '4:5 error unknown-party: `wbe` is not a guest, network, host or group; did you mean `web`?',
      '5:27 error unknown-party: `mailserver` is not a guest, network, host or group; there are only `host`, `internal`, `web` and `db`.',
      '7:5 error unknown-party: the guest `web` has no NIC in a network `lab`; its networks: internal (the domain name is written `web.lab.`, with a dot at its end).',
      '8:5 error unknown-party: `internal` is a network; only a guest has NICs to choose from, as in `guest.network`.',
    ],
  },
  {
    name: 'a domain name where none can stand',
    file: `
domain: Home.Lab
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal }
allow:
  - updates.example.org -> web
  - web -> *.org tcp/443
  - web -> home.lab, db.Home.Lab, *.home.lab
  - web -> mirror.example.org, wbe.internal
block:
  - web -> ads.example.org
expect:
  - cannot: web -> ads.example.org
`,
    builds: false,
    says: [
      '5:5 error bad-domain: `updates.example.org` is a domain name, which can only stand behind `->`: a packet says from which address it comes and not from which name; write the addresses instead.',
      '6:12 error bad-domain: `*.org` stands for every name of a top-level domain, which anybody can have; write at least two labels behind the star, such as `*.example.org`, or `internet`.',
      '7:12 error bad-domain: `home.lab` is a name of this fabric itself; write the guest, network or host that is meant.',
      '7:22 error bad-domain: `db.home.lab` is a name of this fabric itself; write the guest, network or host that is meant.',
      '7:35 error bad-domain: `*.home.lab` is a name of this fabric itself; write the guest, network or host that is meant.',
      '8:32 error unknown-party: `wbe` is not a guest, network, host or group; did you mean `web`?',
      '10:12 error bad-domain: `ads.example.org` is a domain name, which `block` cannot have: who knows the address need not ask for the name; block its addresses, or set `egress: deny` and allow the names that are wanted.',
      '12:20 error bad-domain: `ads.example.org` is a domain name, of which nothing can be expected: which addresses it has is known only when somebody asks; write addresses, or `internet`.',
    ],
  },
  {
    name: 'domain names that open nothing',
    file: `
networks:
  internal: { kind: nat, subnet: 10.0.0.0/24 }
  lab: { kind: isolated, subnet: 10.1.0.0/24 }
  lan: { kind: bridged, interface: eth1, subnet: 192.0.2.0/24, gateway: 192.0.2.1, dns: 192.0.2.1 }
guests:
  wire: { network: lan, address: 192.0.2.20 }
  own: { network: internal, dns: 9.9.9.9 }
  same: { network: internal, dns: 10.0.0.1 }
  both: { nics: [{ network: lab }, { network: internal }] }
  shut: lab
allow:
  - wire -> updates.example.org
  - own, same -> updates.example.org
  - both -> example.org
  - shut -> *.example.org
`,
    builds: false,
    says: [
      "12:5 warning domain-unheard: `wire` asks the `dns: 192.0.2.1` of its network `lan` itself, so `updates.example.org` opens nothing for it: only what Weft's own resolver answers does.",
      "13:5 warning domain-unheard: `own` has its own `dns: 9.9.9.9`, so `updates.example.org` opens nothing for it: only what Weft's own resolver answers does.",
      "14:5 warning domain-unheard: `both` asks for names on the isolated network `lab`, where nobody outside is asked, so `example.org` opens nothing for it: only what Weft's own resolver answers does.",
      '15:5 error isolated-internet: the network of `shut` is isolated, so nothing of it reaches the internet; take `shut` out of the rule, or make the network `kind: nat`.',
    ],
  },
  {
    name: 'groups that contain each other',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal }
groups: { front: [web, back], back: [front] }
`,
    builds: false,
    says: ['3:38 error cyclic-group: the group contains itself: `front` contains `back` contains `front`; take one of them out.'],
  },
  {
    name: 'wrong members of a group',
    file: `
hosts: { vps: {} }
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal }
groups:
  front: [wbe, vps]
  back: { members: [nobody] }
`,
    builds: false,
    says: [
      '5:11 error unknown-guest: `wbe` in the group `front` is not a guest, network or group; did you mean `web`?',
      '5:16 error unknown-guest: `vps` is a host; a group is of guests, networks and other groups.',
      '6:21 error unknown-guest: `nobody` in the group `back` is not a guest, network or group; there are only `internal`, `web`, `front` and `back`.',
    ],
  },
  {
    name: 'parties without anybody',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal, offline: none }
groups: { none-yet: { label: role=db } }
allow: ["web -> role=mail", web -> offline]
`,
    builds: true,
    says: [
      '3:11 warning empty-party: the group `none-yet` has no guests, so rules about it have no effect; take it out, or put guests into it.',
      "4:17 warning empty-party: `role=mail` means no guest's NIC at present, so this has no effect; take it out, or give a guest this label.",
      "4:36 warning empty-party: `offline` means no guest's NIC at present, so this has no effect; take it out, or give a guest a network.",
    ],
  },
  {
    name: 'families that do not meet',
    file: `
networks:
  four: { kind: nat, subnet: 10.0.4.0/24 }
  six: { kind: nat, subnet: "fd00:6::/64" }
guests: { a: four, b: six }
allow:
  - a -> 2001:db8::/32
  - a -> b
  - a, b -> 10.9.0.0/16
`,
    builds: false,
    says: [
      '6:10 error family-mismatch: `2001:db8::/32` has IPv6 only and the other side IPv4 only, so no packet can match; use addresses of one family, or give the network on the other side an IPv6 subnet.',
      '7:10 error family-mismatch: `b` has IPv6 only and the other side IPv4 only, so no packet can match; use addresses of one family, or give its network an IPv4 subnet.',
      '8:8 error family-mismatch: `b` has IPv6 only and the other side IPv4 only, so no packet can match; use addresses of one family, or give its network an IPv4 subnet.',
    ],
  },
  {
    name: 'internet for an isolated network, both ways',
    file: `
networks:
  lab: { kind: isolated, subnet: 10.0.1.0/24 }
  internal: { kind: nat, subnet: 10.0.2.0/24 }
guests: { vault: lab, web: internal }
groups: { all-of-them: [web, vault] }
allow: [vault -> internet tcp/443, all-of-them -> internet, internet -> lab]
`,
    builds: false,
    says: [
      '6:9 error isolated-internet: the network of `vault` is isolated, so nothing of it reaches the internet; take `vault` out of the rule, or make the network `kind: nat`.',
      '6:36 error isolated-internet: the network of `vault` is isolated, so nothing of it reaches the internet; take `all-of-them` out of the rule, or make the network `kind: nat`.',
      '6:73 error isolated-internet: the network of `vault` is isolated, so nothing from the internet reaches it; take `lab` out of the rule, or make the network `kind: nat`.',
    ],
  },
  {
    name: 'egress for a guest or group without a way out',
    file: `
networks: { lab: { kind: isolated, subnet: 10.0.1.0/24 } }
guests: { vault: { network: lab, egress: allow }, safe: lab }
groups: { out: { members: [safe], egress: allow } }
`,
    builds: false,
    says: [
      '3:43 error isolated-internet: the guest `safe` is in isolated networks only, from which nothing reaches the internet; leave `egress` out, or give it a NIC in a nat network.',
      '2:42 error isolated-internet: the guest `vault` is in isolated networks only, from which nothing reaches the internet; leave `egress` out, or give it a NIC in a nat network.',
    ],
  },
  {
    name: 'a guest behind NAT that the internet should reach',
    file: `
networks:
  internal: { kind: nat, subnet: 10.0.2.0/24 }
  private: { kind: nat, subnet: "fd00:2::/64" }
  global: { kind: nat, subnet: "2001:db8:2::/64" }
guests: { web: internal, six: private, open: global }
allow: [internet -> web tcp/80, internet -> six tcp/80, internet -> open tcp/80]
`,
    builds: true,
    says: [
      '6:21 warning unpublished-internet: `web` is behind NAT in `internal`, so the internet does not reach it by this rule alone: publish a port of the host for it, which is then all the rule it needs.',
      '6:45 warning unpublished-internet: `six` is behind NAT in `private`, so the internet does not reach it by this rule alone: publish a port of the host for it, which is then all the rule it needs.',
    ],
  },
  {
    name: 'a guest behind NAT that a guest on the outer network should reach',
    file: `
networks:
  internal: { kind: nat, subnet: 10.0.2.0/24 }
  global: { kind: nat, subnet: "2001:db8:2::/64" }
  lan: { kind: bridged, interface: em0, subnet: [192.168.118.0/24, "2001:db8:118::/64"] }
  lab: { kind: routed, addresses: [203.0.113.20] }
guests: { web: internal, known: internal, six: global, pc: lan, both: { nics: [{ network: lan }, { network: internal }] }, free: lab }
publish: [host tcp/80 -> known]
allow: [pc -> web tcp/80, lan -> web tcp/81, pc -> known tcp/80, pc -> six, pc -> both, both -> web tcp/82, free -> web tcp/83, web -> pc]
`,
    builds: true,
    says: [
      "8:15 warning unpublished-internet: `web` is behind NAT, and `pc` stands outside, on the host's outer network, so it does not reach `web` by this rule: publish a port of the host for it, which is then all the rule it needs, or give `pc` a second NIC in that network.",
      "8:34 warning unpublished-internet: `web` is behind NAT, and `pc` stands outside, on the host's outer network, so it does not reach `web` by this rule: publish a port of the host for it, which is then all the rule it needs, or give `pc` a second NIC in that network.",
    ],
  },
  {
    name: 'published ports that lead nowhere',
    file: `
hosts: { vps: { address: [203.0.113.10, "2001:db8::10"] }, home: { address: 198.51.100.2 } }
networks:
  front: { kind: nat, host: vps, subnet: 10.0.2.0/24 }
  lab: { kind: isolated, host: vps, subnet: 10.0.3.0/24 }
  back: { kind: nat, host: vps, subnet: 10.0.4.0/24 }
guests:
  web: front
  sealed: lab
  bare: { network: none }
  both: { nics: [{ network: front }, { network: lab }, { network: back }] }
publish:
  - vsp tcp/80 -> web
  - vps tcp/81 -> wbe
  - vps tcp/82 -> sealed
  - vps tcp/83 -> bare
  - vps tcp/84 -> web.lab
  - vps tcp/85 -> both.lab
  - home tcp/86 -> web
  - 203.0.113.11 tcp/87 -> web
  - 2001:db8::10 tcp/88 -> web
  - 10.0.2.1 tcp/50-60 -> web
  - vps tcp/90-91 -> web tcp/190-192
  - vps tcp/92 -> web udp/92
  - vps tcp/2000-4000 -> web tcp/3000-5000
  - vps tcp/93 -> web from nobody
  - vps tcp/94 -> web from 2001:db8::/32
  - vps tcp/95 -> both.back
  - vps tcp/96 -> web from www.example.org
`,
    builds: false,
    says: [
      '12:5 error unknown-host: there is no host `vsp`; did you mean `vps`?',
      '13:19 error unknown-guest: there is no guest `wbe`; did you mean `web`?',
      '14:19 error not-publishable: the network of `sealed` is isolated, so nothing is published for it; take the entry out, or make the network `kind: nat`.',
      '15:19 error not-publishable: the guest `bare` has no network, so nothing can be published for it; give it one, or take the entry out.',
      '16:19 error not-publishable: the guest `web` has no NIC in a network `lab`; its networks: front.',
      '17:19 error not-publishable: the network of `both` is isolated, so nothing is published for it; take the entry out, or make the network `kind: nat`.',
      '18:5 error not-supported-yet: publishing at the host `home` for `web`, which is on `vps`, is not supported yet; publish it at `vps`.',
      '19:5 error address-not-of-host: 203.0.113.11 is not an address of the host `vps`: take one of 203.0.113.10, 2001:db8::10, or add it there.',
      '20:5 error family-mismatch: 2001:db8::10 is IPv6, but `web` has no IPv6 address in `front`; give the network an IPv6 subnet, or publish an address of the other family.',
      "21:14 error publish-clash: 10.0.2.1 is the gateway of `front`, where tcp/53 is Weft's own (DHCP and DNS); publish another port there, or publish at another address.",
      '22:26 error bad-ports: `tcp/90-91` cannot become `tcp/190-192`: 2 ports on one side, 3 ports on the other; write ranges of one size.',
      '23:23 error bad-ports: `tcp/92` cannot become `udp/92`: both sides need the same protocols.',
      '24:30 error bad-ports: `tcp/2000-4000` cannot become `tcp/3000-5000`: a range of more than 1000 ports keeps its ports; let the guest listen on the same ones.',
      '25:28 error unknown-party: `nobody` is not a guest, network, host or group; correct the name, or add it to the file.',
      '26:28 error family-mismatch: `2001:db8::/32` is IPv6, but the port is published in IPv4 only; take it out, or write an IPv4 address.',
      '27:19 error not-publishable: `both` answers the outside by the NIC that carries its default route, not by the one in `back`; publish that one, or set `default: true` here.',
      '28:28 error bad-domain: `www.example.org` is a domain name: a packet says from which address it comes and not from which name; write the addresses instead.',
      '1:1 warning not-supported-yet: the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.',
    ],
  },
  {
    name: 'a port published twice',
    file: `
hosts: { vps: { address: [203.0.113.10, 203.0.113.11] } }
networks: { front: { kind: nat, subnet: 10.0.2.0/24 } }
guests: { web: front, db: front }
publish:
  - vps tcp/80-90 -> web
  - 203.0.113.10 tcp/85 -> db tcp/80
  - vps udp/85 -> db
  - 203.0.113.10 tcp/22 -> web
  - 203.0.113.11 tcp/22 -> db
  - host tcp/22 -> db
`,
    builds: false,
    says: [
      '10:10 error publish-clash: tcp/22 of 203.0.113.10 is published twice; take another port, or another address, for one of them. (8:18 `web` has it here)',
      '10:10 error publish-clash: tcp/22 of 203.0.113.11 is published twice; take another port, or another address, for one of them. (9:18 `db` has it here)',
      '6:18 error publish-clash: tcp/85 of 203.0.113.10 is published twice; take another port, or another address, for one of them. (5:9 `web` has it here)',
    ],
  },
  {
    name: 'a rule twice',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal, db: internal }
allow:
  - web -> db tcp/80,443
  - WEB -> db  tcp/443 tcp/80
`,
    builds: true,
    says: [
      '5:5 warning duplicate-rule: `WEB -> db tcp/80,443` stands in `allow` a second time; take one of them out. (4:5 it is first here)',
    ],
  },
  {
    name: 'an snat that the host has not, or of another family',
    file: `
hosts: { vps: { address: [203.0.113.10, 203.0.113.11] } }
networks:
  a: { kind: nat, subnet: 10.0.1.0/24, snat: 203.0.113.12 }
  b: { kind: nat, subnet: "fd00:2::/64", snat: 203.0.113.11 }
`,
    builds: false,
    says: [
      "3:46 error snat-not-on-uplink: `snat` 203.0.113.12 is not an address of the host `vps`; take one of 203.0.113.10, 203.0.113.11, or add it there. (1:26 the host's addresses are here)",
      '4:48 error family-mismatch: `snat` is IPv4, but the network `b` has no IPv4 subnet; leave `snat` out, or add one.',
    ],
  },
  {
    name: 'an MTU too small for IPv6',
    file: `
networks: { a: { kind: nat, subnet: "fd00:2::/64", mtu: 1000 } }
`,
    builds: false,
    says: ['1:57 error bad-value: an MTU of 1000 is too small for IPv6, which needs 1280; raise it, or take the IPv6 subnet out.'],
  },
  {
    name: 'expectations about nobody',
    file: `
networks: { internal: { kind: nat, subnet: 10.0.0.0/24 } }
guests: { web: internal }
expect:
  - can: web -> dbb tcp/80
  - isolated: lab
  - via: web -> internet through vps
  - exposed: [internet -> web, internet -> wbe]
  - cannot: web -> fd00::1
`,
    builds: false,
    says: [
      '4:17 error unknown-party: `dbb` is not a guest, network, host or group; there are only `host`, `internal` and `web`.',
      '5:15 error unknown-network: there is no network `lab`; there is only `internal`.',
      '6:10 error unknown-host: there is no host `vps`; there is only `host`.',
      '7:44 error unknown-party: `wbe` is not a guest, network, host or group; did you mean `web`?',
      '8:20 error family-mismatch: `fd00::1` has IPv6 only and the other side IPv4 only, so no packet can match; use addresses of one family, or give the network on the other side an IPv6 subnet.',
    ],
  },
  {
    name: 'kinds of network that come later, with a wrong address',
    file: `
networks:
  external: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: 192.168.119.1 }
  public: { kind: routed, addresses: 203.0.113.8/29 }
guests: { a: { network: external, address: 192.168.119.5 }, b: { network: public, address: 203.0.113.16 } }
`,
    builds: false,
    says: [
      '2:81 error gateway-outside: the gateway `192.168.119.1` is outside the subnet 192.168.118.0/24; take one inside, such as 192.168.118.1.',
      '4:92 error address-outside: the address 203.0.113.16 is not among the addresses of the network `public` (203.0.113.8/29); take one of them, or leave it out to get one.',
    ],
  },
  {
    name: 'two bridged networks on one interface, and a guest with the address of the outer gateway',
    file: `
networks:
  external: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: 192.168.118.254 }
  other: { kind: bridged, interface: em0, subnet: 192.168.119.0/24 }
  bare: { kind: bridged, interface: em1 }
guests: { a: { network: external, address: 192.168.118.254 }, b: other }
`,
    builds: false,
    says: [
      '4:3 error subnet-missing: the network `bare` has no subnet; give it one, such as `subnet: 10.0.105.0/24`.',
      '3:38 error interface-taken: the interface em0 joins the bridge of the network `external` already; put the guests of both into one network, or take another interface (a VLAN of it, such as em0.10, is one of its own). (2:41 `external` is here)',
      '5:44 error address-reserved: 192.168.118.254 is the gateway address of the network `external`; take another one, or leave it out to get a free one.',
    ],
  },
  {
    name: 'what comes later, with wrong names in it',
    file: `
hosts: { vps: { macs: "52:54:00:aa:00:01" }, home: { behind: nat } }
networks: { internal: { kind: nat, host: home, subnet: 10.0.0.0/24, egress: via vsp } }
guests: { web: { network: internal, egress: via vps } }
publish: [vps tcp/2222 -> wbe tcp/22]
links: { mesh: { kind: wireguard, hosts: [vps, homer], subnet: 10.0.0.0/16 } }
ingress: { at: vpn, routes: { cloud.example.org: wbe tcp/80 } }
`,
    builds: false,
    says: [
      '5:64 error subnet-overlap: the subnet 10.0.0.0/16 of the link `mesh` overlaps 10.0.0.0/24 of the network `internal`; choose one that shares no address with it. (2:56 the network `internal` is here)',
      '4:27 error unknown-guest: there is no guest `wbe`; did you mean `web`?',
      '1:54 error not-supported-yet: `behind` is not supported yet; leave it out.',
      '2:77 error unknown-host: there is no host `vsp`; did you mean `vps`?',
      '2:77 error not-supported-yet: `egress: via` another host is not supported yet; write `allow` or `deny`.',
      '3:45 error not-supported-yet: `egress: via` another host is not supported yet; write `allow` or `deny`.',
      '5:48 error unknown-host: there is no host `homer`; did you mean `home`?',
      '5:10 error not-supported-yet: `links` between hosts are not supported yet; take the link out, each host is then configured on its own.',
      '6:16 error unknown-host: there is no host `vpn`; did you mean `vps`?',
      '6:50 error unknown-guest: there is no guest `wbe`; did you mean `web`?',
      '6:1 error not-supported-yet: `ingress` is not supported yet; take it out.',
    ],
  },
];
