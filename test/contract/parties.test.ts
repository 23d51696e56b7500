/**
 * "Flows" of design.md section 2: who `host`, host names, `any`, `internet`, addresses, groups, labels, `guest.network` and `inside` guests are,
 * and that `block` wins.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';
import { wrongLines } from './lines.ts';

const file = `
name: parties
hosts:
  vps: { uplink: eth0 }
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  b: { kind: nat, subnet: [10.2.0.0/24, fd00:2::/64], egress: deny, from-host: deny }
  lab: { kind: isolated, subnet: [10.3.0.0/24, fd00:3::/64] }
  quiet: { kind: nat, subnet: [10.4.0.0/24, fd00:4::/64], egress: deny }
guests:
  web: { network: a, kind: namespace }
  db: { network: a, kind: namespace, labels: { role: db } }
  db2: { network: b, kind: namespace, labels: { role: db } }
  vault: { network: lab, kind: namespace }
  cell: { network: lab, kind: namespace }
  dual: { kind: namespace, nics: [{ network: lab }, { network: quiet }] }
  exit: { kind: namespace, nics: [{ network: a }, { network: lab }] }
  one: { network: quiet, kind: namespace }
  two: { network: quiet, kind: namespace, egress: allow }
  three: { network: quiet, kind: namespace }
  shut: { network: a, kind: namespace }
  jail: { inside: web, network: a }
  cage: { inside: db, network: a }
groups:
  front: [web, one]
  nested: [front, three]
  labels: { label: role=db }
  open: { members: [three], egress: allow }
allow:
  - web -> host tcp/22
  - db -> vps tcp/22
  - db -> a tcp/1022
  - front -> role=db tcp/5432
  - nested -> labels udp/5432
  - any -> db tcp/90
  - web -> any udp/4000
  - vault -> any tcp/91
  - one -> 198.51.100.7 tcp/443
  - one -> 2001:db8:c633::7 tcp/443
  - one -> 203.0.113.0/24 tcp/444
  - one -> 10.0.0.0/8 tcp/445
  - one -> fd00::/16 tcp/445
  - 10.1.0.0/24 -> one tcp/446
  - host -> db2 tcp/22
  - vps -> db2 tcp/23
  - jail -> db tcp/77
  - vault -> dual tcp/78
  - three -> dual.quiet tcp/79
  - web -> exit.a tcp/80
  - vault -> exit.lab tcp/81
  - vault -> exit tcp/82
  - web -> cage tcp/83
  - lab -> web tcp/84
  - any -> shut
block:
  - host -> vault
  - one -> 10.1.0.0/24 tcp/447
  - any -> shut tcp/1
  - jail -> db tcp/90
  - cage -> host
  - 198.51.100.0/24 -> shut
  - shut -> internet tcp/25
  - web -> 203.0.113.10 tcp/1
`;

/** The bed's second address and gateway of the uplink: the first is the host's too, the second is internet. */
const lines = `
yes web host tcp/22
yes web 203.0.113.11@host tcp/22
yes web gw:a tcp/22
yes web gw:b tcp/22
no  web host tcp/23
no  web gw:a tcp/23
no  web host icmp
yes web gw:a icmp
no  web gw:b icmp
no  web gw:lab icmp
yes db host tcp/22
yes db gw:a tcp/22
no  db2 host tcp/22
no  db gw:a tcp/1022
yes db web tcp/1022
no  db 10.1.0.200@host tcp/1022
yes web db tcp/5432
yes web db2 tcp/5432
yes one db tcp/5432
no  three db tcp/5432
yes three db2 udp/5432
no  db web tcp/5432
no  web exit.a tcp/5432
yes host db tcp/90
yes db2 db tcp/90
yes vault db tcp/90
no  web db tcp/91
yes web vault udp/4000
yes web host udp/4000
yes web gw:b udp/4000
yes web outside udp/4000
yes vault gw:lab tcp/91
yes vault web tcp/91
yes vault host tcp/91
no  vault outside tcp/91
no  vault 203.0.113.1@outside tcp/91
yes web outside tcp/91
yes web 203.0.113.1@outside tcp/91
no  one outside tcp/80
yes one outside tcp/443
no  one 198.51.100.8@outside tcp/443
no  one outside tcp/444
yes one 203.0.113.1@outside tcp/444
4: yes one host tcp/444
no  one gw:quiet tcp/444
yes one db tcp/445
yes one vault tcp/445
yes one gw:quiet tcp/445
yes one gw:a tcp/445
no  one host tcp/445
no  one outside tcp/445
4: yes web one tcp/446
4: yes host one tcp/446
4: yes jail one tcp/446
no  db2 one tcp/446
yes host db2 tcp/22
yes host db2 tcp/23
no  host db2 tcp/24
yes two outside tcp/80
yes three outside tcp/80
no  one outside udp/80
yes jail db tcp/77
no  web db tcp/77
no  jail db tcp/90
yes web db tcp/90
yes jail outside tcp/80
no  jail host tcp/22
no  cage gw:a icmp
no  cage gw:a udp/53
yes db gw:a icmp
yes web cage tcp/83
no  web db tcp/83
yes host cage tcp/84
yes vault dual.lab tcp/78
no  vault dual.quiet tcp/78
yes three dual.quiet tcp/79
no  three dual.lab tcp/79
yes web exit.a tcp/80
yes vault exit.lab tcp/81
no  vault exit.a tcp/81
yes vault exit.lab tcp/82
yes cell web tcp/84
no  host vault tcp/80
no  host vault icmp
yes vault gw:lab icmp
no  web shut tcp/1
no  host shut tcp/1
yes web shut tcp/2
no  outside shut tcp/2
no  outside db tcp/90
no  outside vault tcp/80
no  shut outside tcp/25
yes shut outside tcp/26
4: no web host tcp/1
yes outside host tcp/5555
no  outside gw:a udp/53
no  outside gw:a icmp
no  vault cell tcp/80
no  cell vault tcp/80
`;

for (const bridgeNfCall of [0, 1] as const) {
  it(`parties mean what the contract says, and nothing else, with bridge-nf-call-iptables ${bridgeNfCall}`, async () => {
    const routes = ['10.0.0.0/13', 'fd00::/28'];
    await withHost({ file, bridgeNfCall, host: { routes } }, async (bed) => {
      await bed.weft('apply', '--yes');
      assert.deepEqual(await wrongLines(bed, lines), []);
    });
  });
}
